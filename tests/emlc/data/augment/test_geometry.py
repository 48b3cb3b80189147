"""Crop and flip are exact index arithmetic; resized crops are torchvision's; randomness is per image."""

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from emlc.data.augment.geometry import crop, draw_coins, draw_offsets, flip, random_crop, random_flip, resized_crop
from emlc.records.errors import SuiteError
from tests.emlc.data.augment.pictures import generator, pictures


@pytest.mark.parametrize(("mode", "numpy_mode"), [("zero", "constant"), ("reflect", "reflect")])
@pytest.mark.parametrize("shape", [(3, 6, 9), (1, 8, 8)])
def test_crop_cuts_every_window_out_of_the_padded_image(mode, numpy_mode, shape):
    padding = 4
    images = pictures(*shape)[:1].expand(81, *shape)
    offsets = torch.cartesian_prod(torch.arange(9), torch.arange(9))
    cropped = crop(images, offsets, padding, mode)
    padded = np.pad(images[0].numpy(), ((0, 0), (padding, padding), (padding, padding)), mode=numpy_mode)
    for (row, column), image in zip(offsets.tolist(), cropped.numpy(), strict=True):
        assert np.array_equal(image, padded[:, row : row + shape[1], column : column + shape[2]])
    assert cropped.dtype == torch.uint8
    assert cropped.is_contiguous()


def test_crop_takes_each_image_at_its_own_offset():
    images = pictures(3, 8, 8)
    offsets = draw_offsets(len(images), 2, generator(3))
    whole = crop(images, offsets, 2)
    for index in range(len(images)):
        assert torch.equal(crop(images[index : index + 1], offsets[index : index + 1], 2)[0], whole[index])


def test_the_central_window_is_the_image():
    images = pictures(3, 8, 8)
    for mode in ("zero", "reflect"):
        assert torch.equal(crop(images, torch.full((len(images), 2), 3), 3, mode), images)


def test_reflection_wider_than_the_image_is_one_clear_line():
    with pytest.raises(SuiteError, match="cannot reflect 4 pixels"):
        random_crop(pictures(1, 4, 8), 4, generator(), "reflect")


def test_offsets_are_uniform_and_independent():
    offsets = draw_offsets(50_000, 4, generator())
    counts = torch.bincount(offsets[:, 0] * 9 + offsets[:, 1], minlength=81).float()
    assert offsets.min() == 0
    assert offsets.max() == 8
    assert ((counts - 50_000 / 81) ** 2 / (50_000 / 81)).sum() < 125  # chi-squared, 80 degrees of freedom, p < 1e-3


def test_flip_mirrors_the_chosen_images_only():
    images = pictures(3, 5, 7)
    chosen = torch.arange(len(images)) % 2 == 0
    flipped = flip(images, chosen)
    assert torch.equal(flipped[chosen], images[chosen].flip(-1))
    assert torch.equal(flipped[~chosen], images[~chosen])


@pytest.mark.parametrize(("probability", "expected"), [(0.0, 0), (1.0, 10_000), (0.2, 2_000), (0.5, 5_000)])
def test_coins_fall_with_their_probability(probability, expected):
    assert draw_coins(10_000, probability, generator()).sum().item() == pytest.approx(
        expected, abs=200 * (expected % 10_000 > 0)
    )


@pytest.mark.parametrize("operation", [lambda x, g: random_crop(x, 2, g), random_flip])
def test_randomness_is_the_generators_and_each_images_own(operation):
    images = pictures(3, 8, 8)[:1].expand(64, 3, 8, 8)
    state = torch.get_rng_state()
    first, second, other = (operation(images, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert len(first.flatten(1).unique(dim=0)) > 1


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**31), st.sampled_from([(32, 32), (8, 8), (12, 20)]))
def test_resized_crop_is_torchvisions(seed, sides):
    height, width = sides
    source = generator(seed)
    images = torch.rand((4, 3, height, width), generator=source)
    top, left = (torch.randint(side, (4,), generator=source) for side in sides)
    box_height = 1 + (torch.rand(4, generator=source) * (height - top)).floor().long()
    box_width = 1 + (torch.rand(4, generator=source) * (width - left)).floor().long()
    size = max(sides)
    boxes = torch.stack((top, left, box_height, box_width), dim=1)
    views = resized_crop(images, boxes, size)
    for image, box, view in zip(images, boxes.tolist(), views, strict=True):
        torch.testing.assert_close(view, reference.resized_crop(image, *box, size=[size, size]), atol=2e-5, rtol=0)


def test_resized_crop_of_the_whole_image_is_the_image():
    images = torch.rand((2, 3, 8, 8))
    boxes = torch.tensor([[0, 0, 8, 8]]).expand(2, 4)
    torch.testing.assert_close(resized_crop(images, boxes, 8), images, atol=2e-6, rtol=0)
