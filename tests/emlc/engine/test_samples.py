"""A set of images: what its passes hold, its views by name, and that nothing needs its images in memory."""

from dataclasses import replace

import pytest
import torch

from emlc.data.augment import CropFlip, CropFlipAutoAugment
from emlc.engine import samples as module
from emlc.engine.samples import Samples
from emlc.engine.views import build_views
from emlc.records.errors import SuiteError
from tests.emlc.engine.test_run import RECIPE
from tests.settings import VIEWS, numbered

LABELS = torch.arange(7) % 3
GREY = torch.randint(256, (3, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


class OnDisk:
    """Images that are made when they are asked for."""

    shape = (7, 1, 2, 2)

    def __getitem__(self, indices):
        self.asked = indices.tolist()
        return indices.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)


def test_a_source_of_images_is_as_good_as_a_tensor():
    source = OnDisk()
    streamed, resident = (Samples(images, LABELS, VIEWS, generator) for images, generator in pairs(source))
    one, other = streamed.stream(3, "weak").next(), resident.stream(3, "weak").next()
    assert torch.equal(one.inputs, other.inputs)
    assert source.asked == one.indices.tolist()


def pairs(source):
    images = source[torch.arange(7)].contiguous()
    return [(each, lambda name: torch.Generator().manual_seed(5)) for each in (source, images)]


@pytest.mark.parametrize(
    ("chunk", "pixels", "sizes"), [(1000, 2**23, [7]), (3, 2**23, [3, 3, 1]), (1000, 9, [2, 2, 2, 1])]
)
def test_a_pass_holds_every_sample_once_in_order_in_chunks_of_bounded_memory(monkeypatch, chunk, pixels, sizes):
    monkeypatch.setattr(module, "CHUNK", chunk)
    monkeypatch.setattr(module, "PIXELS", pixels)
    batches = list(numbered(LABELS).batches())
    assert [len(batch) for batch in batches] == sizes
    assert torch.equal(torch.cat([batch.indices for batch in batches]), torch.arange(7))
    assert torch.equal(torch.cat([batch.labels for batch in batches]), LABELS)
    assert torch.equal(torch.cat([batch.inputs for batch in batches])[:, 0, 0, 0], torch.arange(7.0))


def test_a_view_that_nobody_knows_is_refused_before_the_first_batch():
    with pytest.raises(SuiteError, match="images have no view 'week'; known: plain, weak, auto, strong"):
        numbered(LABELS).stream(3, "weak", "week")


@pytest.mark.parametrize(("channels", "auto"), [(1, CropFlip), (3, CropFlipAutoAugment)])
def test_the_views_of_a_run(channels, auto):
    recipe = replace(RECIPE, mean=(0.3,) * channels, std=(0.4,) * channels, padding="reflect", auto_augment="imagenet")
    views = build_views(recipe)
    assert type(views["weak"]) is CropFlip
    assert (type(views["auto"]), type(views["strong"])) == (auto, CropFlipAutoAugment)
    assert {views[name].mode for name in ("weak", "auto", "strong")} == {"reflect"}
    assert views["strong"].policy == ("imagenet" if channels == 3 else "grey")
    images = GREY.expand(-1, channels, -1, -1)
    torch.testing.assert_close(views["plain"](images, None), (images.float() / 255 - 0.3) / 0.4)


def test_a_strong_view_of_a_grey_image_is_another_image_but_no_other_picture():
    strong = build_views(replace(RECIPE, crop_padding=0))["strong"]
    seen = strong(GREY.repeat(100, 1, 1, 1), torch.Generator().manual_seed(0))
    plain = build_views(RECIPE)["plain"](GREY, None).repeat(100, 1, 1, 1)
    changed = (seen != plain).flatten(1).any(dim=1)
    assert 0.7 < changed.float().mean() < 1
    assert seen.shape == plain.shape
