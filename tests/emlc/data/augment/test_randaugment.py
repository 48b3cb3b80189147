"""FixMatch's RandAugment: each operation at its smallest and largest, the square, and the draws themselves."""

import pytest
import torch
from torchvision.transforms import functional as reference

from emlc.data.augment import CropFlip, CropFlipJitter, CropFlipRandAugment
from emlc.data.augment.randaugment import (
    GREY,
    LEVELS,
    POOL,
    RandAugmentDraw,
    apply_randaugment,
    cut_out,
    draw_randaugment,
)
from emlc.data.augment.warp import affine, draw_affine
from tests.emlc.data.augment.pictures import generator, pictures

NAMES = list(POOL)
FAR = 9.0
"""A square's centre that leaves the image alone."""


def drawn(name: str, level: int, negative: bool = False, applied: bool = True) -> RandAugmentDraw:
    """The operation, then none, for each of nine pictures."""
    choices = torch.tensor([NAMES.index(name), len(NAMES)]).expand(9, 2)
    flags = (torch.full((9, 2), applied), torch.full((9, 2), negative))
    return RandAugmentDraw(choices, torch.full((9, 2), level), *flags, torch.full((9, 2), FAR))


EXPECTED = {
    "AutoContrast": lambda image, t: reference.autocontrast(image),
    "Brightness": lambda image, t: reference.adjust_brightness(image, 0.05 + 0.9 * t),
    "Color": lambda image, t: reference.adjust_saturation(image, 0.05 + 0.9 * t),
    "Contrast": lambda image, t: reference.adjust_contrast(image, 0.05 + 0.9 * t),
    "Equalize": lambda image, t: reference.equalize(image),
    "Posterize": lambda image, t: reference.posterize(image, 4 + int(4 * t)),
    "Rotate": lambda image, t: reference.rotate(image, 30 * t),
    "Sharpness": lambda image, t: reference.adjust_sharpness(image, 0.05 + 0.9 * t),
    "Solarize": lambda image, t: reference.solarize(image, 256 - int(256 * t)),
    "TranslateX": lambda image, t: reference.affine(image, 0, [int(0.3 * t * 32), 0], 1, [0, 0]),
    "TranslateY": lambda image, t: reference.affine(image, 0, [0, int(0.3 * t * 32)], 1, [0, 0]),
}


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("level", [1, LEVELS])
def test_operations_are_torchvisions_with_the_magnitudes_of_fixmatch(name, level):
    images = pictures(3, 32, 32)
    expected = torch.stack([EXPECTED[name](image, level / 10) for image in images])
    distance = (apply_randaugment(images, drawn(name, level)).int() - expected.int()).abs()
    assert distance.max() <= 1
    assert (distance > 0).float().mean() < 0.02


@pytest.mark.parametrize("name", ["Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"])
def test_directed_operations_go_both_ways(name):
    images = pictures(1, 28, 28)
    results = [apply_randaugment(images, drawn(name, 9, negative)) for negative in (False, True)]
    assert not torch.equal(*results)
    assert not torch.equal(results[0], images)


def test_what_is_not_applied_changes_nothing():
    images = pictures(3, 32, 32)
    for name in NAMES:
        assert torch.equal(apply_randaugment(images, drawn(name, 5, applied=False)), images)


def test_the_square_has_half_the_side_and_is_cut_at_the_edge():
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    covered = cut_out(images, torch.tensor([[0.5, 0.5], [0.0, 1.0]])) == GREY
    expected = torch.zeros(2, 8, 8, dtype=torch.bool)
    expected[0, 2:6, 2:6] = True
    expected[1, :2, 6:] = True
    assert torch.equal(covered, expected[:, None].expand(2, 3, 8, 8))


def test_draws_are_uniform():
    draw = draw_randaugment(20_000, generator())
    assert torch.bincount(draw.choices.flatten()).div(40_000).sub(1 / 14).abs().max() < 0.005
    assert draw.levels.unique().tolist() == list(range(1, 10))
    for share in (draw.applied.float().mean(), draw.negative.float().mean(), draw.centres.mean()):
        assert share.item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize("view", [CropFlipRandAugment, CropFlipJitter])
def test_views_begin_as_the_weak_one_and_keep_the_shape(shape, view):
    images, statistics = pictures(*shape), ((0.5,) * shape[0], (0.25,) * shape[0])
    seen = view(2, True, *statistics)(images, generator(1))
    assert (seen.shape, seen.dtype) == (images.shape, torch.float32)
    weak = CropFlip(2, True, *statistics)(images, generator(1))
    assert seen.stride() == weak.stride()
    assert not torch.equal(seen, weak)
    assert torch.equal(seen, view(2, True, *statistics)(images, generator(1)))


def test_affine_draws_turn_scale_and_move():
    matrices = draw_affine(20_000, (20, 40), generator())
    scales = 1 / matrices[:, :, :2].det().sqrt()
    angles = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]).rad2deg()
    extremes = [(values.min().item(), values.max().item()) for values in (scales, angles, *matrices[:, :, 2].T)]
    for (low, high), expected in zip(extremes, ((2 / 3, 1.5), (-15, 15), (-4, 4), (-2, 2)), strict=True):
        assert (low, high) == pytest.approx(expected, abs=0.01)
    assert scales.mean().item() == pytest.approx((2 / 3 + 1.5) / 2, abs=0.01)


def test_a_larger_scale_shows_less_of_the_image():
    image = torch.arange(36, dtype=torch.float32).view(1, 1, 6, 6)
    shown = affine(image, torch.tensor([[[0.5, 0, 0], [0, 0.5, 0]]]))
    assert set(shown.flatten().tolist()) <= set(image[..., 1:5, 1:5].flatten().tolist())
