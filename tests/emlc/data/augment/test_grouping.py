"""Each image gets the operation it chose, with its own magnitude."""

import pytest
import torch

from emlc.data.augment.autoaugment import OPERATIONS
from emlc.data.augment.grouping import apply_chosen, by_group, by_mask
from emlc.data.augment.jitter import jitter_brightness, jitter_contrast, jitter_hue, jitter_saturation


@pytest.mark.parametrize("apply_chosen", [by_group, by_mask])
def test_each_image_gets_its_operation_and_magnitude(apply_chosen):
    images = torch.arange(6.0).view(6, 1, 1, 1)
    operations = (lambda x, m: x + m[:, None, None, None], lambda x, m: x * m[:, None, None, None])
    choices, magnitudes = torch.tensor([1, 2, 0, 1, 0, 2]), torch.tensor([10.0, 20, 30, 40, 50, 60])
    assert apply_chosen(images, choices, magnitudes, operations).flatten().tolist() == [0, 1, 32, 120, 54, 5]
    assert images.flatten().tolist() == [0, 1, 2, 3, 4, 5]


def test_an_operation_runs_once_on_all_its_images_and_not_without_any():
    calls = []

    def record(images, _):
        calls.append(len(images))
        return images

    apply_chosen(torch.zeros(5, 1, 1, 1), torch.tensor([2, 0, 2, 3, 2]), torch.zeros(5), (record,) * 3)
    assert calls == [1, 3]


def test_gpus_and_cpus_augment_alike():
    """Every operation meets magnitudes that are meant for the others; what it makes of them must not show or fail."""
    generator = torch.Generator().manual_seed(0)
    count, operations = 300, list(OPERATIONS.values())
    images = torch.randint(256, (count, 3, 9, 8), generator=generator, dtype=torch.uint8)
    choices = torch.randint(len(operations) + 1, (count,), generator=generator)
    magnitudes = torch.empty(count).uniform_(-255, 255, generator=generator)
    assert torch.equal(*(way(images, choices, magnitudes, operations) for way in (by_group, by_mask)))
    jitters = (jitter_brightness, jitter_contrast, jitter_saturation, jitter_hue)
    factors = torch.empty(count).uniform_(-0.5, 1.8, generator=generator)
    ways = (way(images / 255, choices % 5, factors, jitters) for way in (by_group, by_mask))
    torch.testing.assert_close(*ways, rtol=0, atol=1e-6)
