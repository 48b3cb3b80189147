"""Pipelines: the stated steps in the stated order, exact normalisation, one generator."""

import pytest
import torch
import torchvision.transforms.functional as reference

from emlc.data.augment import (
    CropFlip,
    CropFlipAutoAugment,
    SimCLRView,
    autoaugment,
    normalise,
    random_crop,
    random_flip,
    simclr_view,
)
from emlc.records.errors import SuiteError
from tests.emlc.data.augment.pictures import generator, pictures

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def test_normalise_is_exactly_torchvisions():
    images = pictures(3, 32, 32)
    loaded = torch.stack([reference.to_tensor(image.permute(1, 2, 0).numpy()) for image in images])
    expected = reference.normalize(loaded, list(MEAN), list(STD))
    assert torch.equal(normalise(images, MEAN, STD), expected)


@pytest.mark.parametrize(("mean", "std"), [((0.5,) * 3, (0.5,) * 3), ((0.5,), (0.5,) * 3), ((), ())])
def test_statistics_for_another_number_of_channels_are_one_clear_line(mean, std):
    with pytest.raises(SuiteError, match="1 channels need as many"):
        normalise(pictures(1, 8, 8), mean, std)


@pytest.mark.parametrize("mode", ["zero", "reflect"])
def test_crop_flip_crops_then_flips_then_normalises(mode):
    images = pictures(3, 8, 8)
    source = generator(7)
    expected = normalise(random_flip(random_crop(images, 2, source, mode), source), MEAN, STD)
    assert torch.equal(CropFlip(2, True, MEAN, STD, mode)(images, generator(7)), expected)


def test_without_padding_and_flips_nothing_changes_but_the_scale():
    images = pictures(3, 8, 8)
    assert torch.equal(CropFlip(0, False, MEAN, STD)(images, generator()), normalise(images, MEAN, STD))


def test_digits_are_moved_but_not_mirrored():
    image = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    image[..., 2:6, 2] = 255  # a bar with a foot to the right
    image[..., 5, 2:6] = 255
    moved = CropFlip(1, False, (0.0,), (1.0,)).augment(image.expand(200, 1, 8, 8), generator())
    assert len(moved.unique(dim=0)) == 9
    assert (moved.sum((1, 2, 3), dtype=torch.long) == 7 * 255).all()
    columns = moved.sum((1, 2), dtype=torch.long)
    assert (columns.argmax(1) <= 3).all()


@pytest.mark.parametrize("policy", ["cifar10", "imagenet"])
def test_autoaugment_comes_after_the_flip(policy):
    images = pictures(3, 16, 16)
    source = generator(7)
    cropped = random_flip(random_crop(images, 4, source), source)
    expected = normalise(autoaugment(cropped, policy, source), MEAN, STD)
    pipeline = CropFlipAutoAugment(4, True, MEAN, STD, policy=policy)
    assert torch.equal(pipeline(images, generator(7)), expected)


def test_simclr_views_are_normalised_and_two_calls_give_two_views():
    images, source = pictures(3, 16, 16), generator(7)
    pipeline = SimCLRView(16, True, MEAN, STD)
    first, second = pipeline(images, source), pipeline(images, source)
    centre, spread = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    assert torch.equal(first, (simclr_view(images, 16, generator(7)) - centre) / spread)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    "pipeline",
    [
        CropFlip(1, True, (0.5,), (0.2,)),
        CropFlipAutoAugment(1, False, (0.5,), (0.2,)),
        SimCLRView(8, False, (0.5,), (0.2,)),
    ],
)
def test_grey_images_of_eight_pixels_go_through(pipeline):
    images = pictures(1, 8, 8)
    before = images.clone()
    augmented = pipeline(images, generator())
    assert augmented.shape == images.shape
    assert augmented.dtype == torch.float32
    assert augmented.is_contiguous()
    assert augmented.isfinite().all()
    assert torch.equal(images, before)
