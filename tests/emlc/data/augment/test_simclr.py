"""SimCLR views: torchvision's chain with the same draws, and torchvision's distribution of draws."""

import math

import pytest
import torch
import torchvision.transforms.v2 as transforms
import torchvision.transforms.v2.functional as reference

from emlc.data.augment import simclr_view
from emlc.data.augment.simclr import apply_view, draw_boxes, draw_view
from tests.emlc.data.augment.pictures import generator, pictures
from tests.emlc.data.augment.test_jitter import REFERENCES


def by_torchvision(image, size, draw, index):
    view = reference.resized_crop(image / 255, *draw.boxes[index].tolist(), size=[size, size])
    if draw.flips[index]:
        view = reference.horizontal_flip(view)
    if draw.jitter.chosen[index]:
        for column in draw.jitter.order[index].tolist():
            view = REFERENCES[column](view, draw.jitter.factors[index, column].item())
    return reference.rgb_to_grayscale(view, len(image)) if draw.grey[index] else view


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 32])
def test_views_are_torchvisions_image_by_image(channels, side):
    images = torch.cat([pictures(channels, side, side, seed)[:7] for seed in range(12)])
    draw = draw_view(len(images), side, side, generator(2))
    assert 0 < draw.grey.sum() < len(images)
    views = apply_view(images, side, draw)
    for index, image in enumerate(images):
        # hue is discontinuous at grey, where float rounding decides: pixels may differ there, few and little
        torch.testing.assert_close(views[index], by_torchvision(image, side, draw, index), atol=3e-4, rtol=0)


@pytest.mark.parametrize("sides", [(32, 32), (20, 32), (32, 20)])
def test_boxes_are_distributed_as_torchvisions(sides):
    count = 20_000
    boxes = draw_boxes(count, *sides, generator())
    top, left, height, width = boxes.unbind(1)
    assert (boxes >= 0).all()
    assert (height > 0).all()
    assert (width > 0).all()
    assert (top + height <= sides[0]).all()
    assert (left + width <= sides[1]).all()
    transform = transforms.RandomResizedCrop(32, scale=(0.2, 1.0))
    torch.manual_seed(0)
    sample = [transform.make_params([torch.zeros(3, *sides)]) for _ in range(4000)]
    for name, drawn in (("top", top), ("left", left), ("height", height), ("width", width)):
        expected = torch.tensor([float(params[name]) for params in sample])
        spread = expected.std().item() / math.sqrt(len(sample))
        assert drawn.float().mean().item() == pytest.approx(expected.mean().item(), abs=5 * spread)
        assert drawn.float().std().item() == pytest.approx(expected.std().item(), rel=0.06)


def test_boxes_reach_both_ends_and_keep_area_and_ratio():
    top, left, height, width = draw_boxes(20_000, 64, 64, generator()).unbind(1)
    area, ratio = (height * width).float() / 64**2, width / height
    assert area.min().item() == pytest.approx(0.2, abs=0.01)
    assert area.max() == 1
    assert ratio.min().item() == pytest.approx(3 / 4, abs=0.03)
    assert ratio.max().item() == pytest.approx(4 / 3, abs=0.05)
    assert ((top == 0) & (height < 60)).any()
    assert ((top + height == 64) & (height < 60)).any()
    assert ((left + width == 64) & (width < 60)).any()


@pytest.mark.parametrize(("sides", "box"), [((4, 64), [0, 29, 4, 5]), ((64, 4), [29, 0, 5, 4])])
def test_where_no_try_fits_the_crop_is_central(sides, box):
    boxes = draw_boxes(200, *sides, generator())
    assert (boxes == torch.tensor(box)).all(1).float().mean() > 0.5


def test_views_are_floats_in_the_unit_interval_of_the_asked_size():
    views = simclr_view(pictures(3, 8, 8), 16, generator())
    assert views.shape == (9, 3, 16, 16)
    assert views.dtype == torch.float32
    assert views.min() >= 0
    assert views.max() <= 1


def test_digits_are_not_mirrored():
    assert not draw_view(1000, 8, 8, generator(), flips=False).flips.any()
    assert draw_view(1000, 8, 8, generator()).flips.sum().item() == pytest.approx(500, abs=80)
    assert draw_view(10_000, 8, 8, generator()).grey.sum().item() == pytest.approx(2000, abs=200)


def test_randomness_is_the_generators_and_each_images_own():
    images = pictures(3, 16, 16)[:1].expand(32, 3, 16, 16)
    state = torch.get_rng_state()
    first, second, other = (simclr_view(images, 16, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert len(first.flatten(1).unique(dim=0)) == 32
