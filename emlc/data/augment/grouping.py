"""Applying a different operation to each image of a batch without a loop over images."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Operation = Callable[[Tensor, Tensor], Tensor]


def apply_chosen(images: Tensor, choices: Tensor, magnitudes: Tensor, operations: Sequence[Operation]) -> Tensor:
    """Apply to every image the operation it has chosen.

    Parameters
    ----------
    images : Tensor [n, C, H, W]
    choices : Tensor of int64 [n]
        Index into `operations`; ``len(operations)`` leaves the image as it is.
    magnitudes : Tensor [n]
        Handed to the operations.
    operations : sequence of callable
        Map images [m, C, H, W] and magnitudes [m] to images [m, C, H, W], each image for itself.

    Returns
    -------
    Tensor [n, C, H, W]
        A new tensor.
    """
    return (by_mask if images.is_cuda else by_group)(images, choices, magnitudes, operations)


def by_group(images: Tensor, choices: Tensor, magnitudes: Tensor, operations: Sequence[Operation]) -> Tensor:
    """Call each operation on the images that chose it: the least arithmetic, but the host has to know how many."""
    counts = torch.bincount(choices, minlength=len(operations) + 1).tolist()
    groups = choices.argsort(stable=True).split(counts)
    changed = images.clone()
    for operation, rows in zip(operations, groups, strict=False):
        if len(rows):
            changed[rows] = operation(images[rows], magnitudes[rows])
    return changed


def by_mask(images: Tensor, choices: Tensor, magnitudes: Tensor, operations: Sequence[Operation]) -> Tensor:
    """Call each operation on all images and keep what was chosen: as many kernels, and the host waits for none."""
    changed = images.clone()
    for number, operation in enumerate(operations):
        chosen = (choices == number)[:, None, None, None]
        changed = torch.where(chosen, operation(images, magnitudes), changed)
    return changed
