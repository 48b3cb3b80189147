"""Colour jitter against torchvision's float operations, image by image, in each image's order."""

import math

import pytest
import torch
import torchvision.transforms.v2.functional as reference

from emlc.data.augment.jitter import (
    JitterDraw,
    apply_jitter,
    draw_jitter,
    jitter_brightness,
    jitter_contrast,
    jitter_hue,
    jitter_saturation,
)
from tests.emlc.data.augment.pictures import generator, pictures

REFERENCES = (
    reference.adjust_brightness,
    reference.adjust_contrast,
    reference.adjust_saturation,
    reference.adjust_hue,
)
STRENGTH = (0.4, 0.4, 0.4, 0.1)


def floats(channels=3):
    return torch.cat([pictures(channels, 12, 12, seed) for seed in range(4)]) / 255


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("index", range(4))
def test_each_operation_is_torchvisions(channels, index):
    operation = (jitter_brightness, jitter_contrast, jitter_saturation, jitter_hue)[index]
    images = floats(channels)
    low, high = (-0.5, 0.5) if index == 3 else (0.0, 2.0)
    factors = torch.linspace(low, high, len(images))
    jittered = operation(images, factors)
    for image, factor, result in zip(images, factors.tolist(), jittered, strict=True):
        torch.testing.assert_close(result, REFERENCES[index](image, factor), atol=2e-5, rtol=0)


def test_hue_turns_red_to_green_to_blue():
    red = torch.tensor([0.9, 0.1, 0.1]).view(1, 3, 1, 1)
    turned = [jitter_hue(red, torch.tensor([turn])).flatten().tolist() for turn in (1 / 3, -1 / 3, 1 / 6, 0.0)]
    for got, expected in zip(turned, ([0.1, 0.9, 0.1], [0.1, 0.1, 0.9], [0.9, 0.9, 0.1], [0.9, 0.1, 0.1]), strict=True):
        assert got == pytest.approx(expected, abs=1e-5)


def test_batches_are_torchvisions_image_by_image_in_order():
    images = floats()
    draw = draw_jitter(len(images), STRENGTH, 0.8, generator(3))
    assert 0 < draw.chosen.sum() < len(images)
    jittered = apply_jitter(images, draw)
    for index, image in enumerate(images):
        if draw.chosen[index]:
            for column in draw.order[index].tolist():
                image = REFERENCES[column](image, draw.factors[index, column].item())
        torch.testing.assert_close(jittered[index], image, atol=1e-4, rtol=0)


def test_unchosen_images_stay():
    images = floats()
    draw = draw_jitter(len(images), STRENGTH, 0.8, generator(3))
    unchosen = JitterDraw(draw.factors, draw.order, torch.zeros_like(draw.chosen))
    assert torch.equal(apply_jitter(images, unchosen), images)


def test_draws_have_the_stated_distributions():
    draw = draw_jitter(48_000, STRENGTH, 0.8, generator())
    centre, strength = torch.tensor([1.0, 1, 1, 0]), torch.tensor(STRENGTH)
    scaled = (draw.factors - centre) / strength
    assert scaled.abs().max() <= 1 + 1e-5
    assert scaled.abs().amax(0).min() > 0.99
    assert scaled.mean(0).abs().max() < 0.015
    assert scaled.std(0).tolist() == pytest.approx([1 / math.sqrt(3)] * 4, rel=0.02)
    codes = (draw.order * torch.tensor([64, 16, 4, 1])).sum(1)
    counts = torch.bincount(codes)
    assert (counts > 0).sum() == 24
    assert ((counts[counts > 0] - 2000.0) ** 2 / 2000).sum() < 50  # chi-squared, 23 degrees of freedom, p < 1e-3
    assert draw.chosen.float().mean().item() == pytest.approx(0.8, abs=0.01)
