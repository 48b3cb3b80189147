"""Affine operations against torchvision, image by image."""

import pytest
import torch
import torchvision.transforms.v2.functional as reference
from torchvision.transforms import InterpolationMode
from torchvision.transforms.autoaugment import _apply_op

from emlc.data.augment import warp
from emlc.data.augment.policies import POLICIES
from tests.emlc.data.augment.pictures import generator, pictures

OPERATIONS = {
    "ShearX": (warp.shear_x, 0.3),
    "ShearY": (warp.shear_y, 0.3),
    "TranslateX": (warp.translate_x, 14.5),
    "TranslateY": (warp.translate_y, 14.5),
    "Rotate": (warp.rotate, 30.0),
}


SHEARS = ("ShearX", "ShearY")


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 8, 8), (3, 20, 32), (3, 64, 64)])
def test_every_level_and_sign_is_exactly_torchvisions(name, shape):
    operation, largest = OPERATIONS[name]
    # Shears of level 2 and 6, which no policy uses, put source positions exactly half-way between two pixels.
    levels = [level for level in range(10) if name not in SHEARS or level not in (2, 6)]
    magnitudes = torch.tensor([sign * largest * level / 9 for level in levels for sign in (1, -1)])
    images = pictures(*shape, seed=1)[:1].expand(len(magnitudes), *shape)
    for magnitude, image, moved in zip(magnitudes.tolist(), images, operation(images, magnitudes), strict=True):
        assert torch.equal(moved, _apply_op(image, name, magnitude, InterpolationMode.NEAREST, None)), magnitude


def test_no_policy_uses_the_levels_left_out_above():
    steps = {(name, level) for policy in POLICIES.values() for pair in policy for name, _, level in pair}
    assert not steps & {(name, level) for name in SHEARS for level in (2, 6)}


def test_any_angle_is_torchvisions_but_for_pixels_half_way():
    # float32 rounding decides where a source position falls half-way between two pixels: at most one pixel in 2,000
    angles = 360 * torch.rand(200, generator=generator())
    images = torch.randint(256, (1, 3, 32, 32), generator=generator()).to(torch.uint8).expand(200, 3, 32, 32)
    turned = warp.rotate(images, angles)
    expected = torch.stack(
        [reference.rotate(image, angle) for image, angle in zip(images, angles.tolist(), strict=True)]
    )
    assert (turned != expected).float().mean() < 1 / 2000


def test_identity_and_shift_by_hand():
    images = pictures(3, 6, 10)
    identity = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).expand(len(images), 2, 3)
    assert torch.equal(warp.affine(images, identity), images)
    shifted = warp.translate_x(images, torch.full((len(images),), 2.9))
    assert torch.equal(shifted[..., 2:], images[..., :-2])
    assert not shifted[..., :2].any()
    shifted = warp.translate_y(images, torch.full((len(images),), -2.9))
    assert torch.equal(shifted[:, :, :-2], images[:, :, 2:])
    assert not shifted[:, :, -2:].any()


def test_a_quarter_turn_is_anticlockwise():
    images = pictures(3, 8, 8)
    assert torch.equal(warp.rotate(images, torch.full((len(images),), 90.0)), images.rot90(1, (2, 3)))


def test_each_image_has_its_own_map():
    images = pictures(3, 8, 8)
    angles = torch.linspace(-30, 30, len(images))
    together = warp.rotate(images, angles)
    for index in range(len(images)):
        assert torch.equal(warp.rotate(images[index : index + 1], angles[index : index + 1])[0], together[index])
