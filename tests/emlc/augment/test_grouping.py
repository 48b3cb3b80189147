"""Each image gets the operation it chose, with its own magnitude."""

import torch

from emlc.augment.grouping import apply_chosen


def test_each_image_gets_its_operation_and_magnitude():
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
