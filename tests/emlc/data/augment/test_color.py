"""Lookup operations exactly as torchvision's, blends to one grey level, image by image."""

import pytest
import torch
import torchvision.transforms.functional as reference
import torchvision.transforms.v2.functional as reference_v2

from emlc.data.augment import color
from tests.emlc.data.augment.pictures import pictures

SHAPES = [(3, 32, 32), (1, 32, 32), (1, 8, 8), (3, 16, 24)]


def per_image(images, magnitudes, operation):
    return torch.stack([operation(image, magnitude) for image, magnitude in zip(images, magnitudes, strict=True)])


@pytest.mark.parametrize("shape", SHAPES)
def test_invert_and_equalize_are_exactly_torchvisions(shape):
    images = pictures(*shape)
    assert torch.equal(color.invert(images, None), reference_v2.invert(images))
    assert torch.equal(color.equalize(images, None), per_image(images, images, lambda x, _: reference_v2.equalize(x)))
    assert torch.equal(color.equalize(images, None), per_image(images, images, lambda x, _: reference.equalize(x)))


@pytest.mark.parametrize("shape", SHAPES)
def test_autocontrast_is_exactly_torchvisions(shape):
    images = pictures(*shape)
    # torchvision's newer kernel divides by a rounded reciprocal and can fall one level lower
    assert torch.equal(
        color.autocontrast(images, None), per_image(images, images, lambda x, _: reference.autocontrast(x))
    )
    distance = color.autocontrast(images, None).int() - reference_v2.autocontrast(images).int()
    assert distance.abs().max() <= 1


def test_autocontrast_stretches_each_channel_to_the_ends():
    stretched = color.autocontrast(pictures(3, 16, 16), None)
    assert (stretched[:7].amin((2, 3)) == 0).all()
    assert (stretched[:7].amax((2, 3)) == 255).all()
    assert (stretched[7] == 77).all()


def test_equalize_by_hand():
    # 1,024 pixels in four equal levels: 768 below the highest, so 3 per output level (rounded down), 1 to round
    levels = torch.tensor([10, 20, 30, 40], dtype=torch.uint8).repeat_interleave(256).view(1, 1, 32, 32)
    expected = [(256 * below + 1) // 3 for below in range(4)]
    assert color.equalize(levels, None).unique().tolist() == [min(value, 255) for value in expected]


def test_small_images_are_not_equalized():
    images = pictures(3, 8, 8)
    assert torch.equal(color.equalize(images, None), images)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bits", range(4, 9))
def test_posterize_is_exactly_torchvisions(shape, bits):
    images = pictures(*shape)
    magnitudes = torch.full((len(images),), float(bits))
    assert torch.equal(color.posterize(images, magnitudes), reference_v2.posterize(images, bits))


def test_posterize_and_solarize_take_a_magnitude_per_image():
    images = pictures(3, 8, 8)
    bits = torch.tensor([4.0, 5, 6, 7, 8, 4, 5, 6, 7])
    expected = per_image(images, bits.tolist(), lambda x, m: reference_v2.posterize(x, int(m)))
    assert torch.equal(color.posterize(images, bits), expected)
    thresholds = torch.linspace(255, 0, 9)
    expected = per_image(images, thresholds.tolist(), reference_v2.solarize)
    assert torch.equal(color.solarize(images, thresholds), expected)


def test_solarize_inverts_at_the_threshold_itself():
    image = torch.tensor([127, 128, 129], dtype=torch.uint8).view(1, 1, 1, 3)
    assert color.solarize(image, torch.tensor([128.0])).flatten().tolist() == [127, 127, 126]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (color.brightness, reference_v2.adjust_brightness),
        (color.contrast, reference_v2.adjust_contrast),
        (color.saturation, reference_v2.adjust_saturation),
        (color.sharpness, reference_v2.adjust_sharpness),
    ],
)
def test_blends_are_torchvisions_to_one_level(shape, operation, expected):
    images = pictures(*shape)
    for factors in (torch.linspace(0.1, 1.9, 9), torch.linspace(1.9, 0.1, 9), torch.ones(9)):
        wanted = per_image(images, factors.tolist(), expected).int()
        distance = (operation(images, factors).int() - wanted).abs()
        assert distance.max() <= 1
        assert (distance[:7] > 0).float().mean() < 0.01  # torchvision darkens flat images by rounding, we do not
    assert torch.equal(operation(images, torch.ones(9)), images)


def test_luma_weighs_red_green_and_blue():
    image = torch.tensor([100, 10, 1], dtype=torch.uint8).view(1, 3, 1, 1)
    assert color.luma(image).item() == pytest.approx(29.89 + 5.87 + 0.114)


def test_operations_leave_their_input_alone():
    images = pictures(3, 8, 8)
    before, ones = images.clone(), torch.ones(len(images))
    for operation in (color.autocontrast, color.equalize, color.sharpness, color.contrast, color.posterize):
        operation(images, ones)
    assert torch.equal(images, before)
