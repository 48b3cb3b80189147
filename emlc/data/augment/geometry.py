"""Where pixels go: crop, flip and resized crop, per image and in batch."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from emlc.records.errors import SuiteError

Padding = Literal["zero", "reflect"]


def draw_offsets(count: int, padding: int, generator: torch.Generator) -> Tensor:
    """Draw crop positions [count, 2] (row, column), each uniform on 0 to 2 * `padding`."""
    return torch.randint(2 * padding + 1, (count, 2), generator=generator, device=generator.device)


def crop(images: Tensor, offsets: Tensor, padding: int, mode: Padding = "zero") -> Tensor:
    """Pad every image on all sides and cut a window of the old size out of it.

    Parameters
    ----------
    images : Tensor [n, C, H, W]
    offsets : Tensor of int64 [n, 2]
        Row and column of the window's corner in the padded image; `padding` leaves the image in place.
    padding : int
        Pixels added on each side.
    mode : {"zero", "reflect"}
        What the border shows: black, or the image mirrored about its outermost pixels.

    Returns
    -------
    Tensor [n, C, H, W]

    Raises
    ------
    SuiteError
        If a reflected border would be as wide as the image.
    """
    height, width = images.shape[-2:]
    padded = _reflected(images, padding) if mode == "reflect" else F.pad(images, (padding,) * 4)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    rows, columns = offsets.unbind(1)
    return windows[torch.arange(len(images), device=images.device), :, rows, columns]


def _reflected(images: Tensor, padding: int) -> Tensor:
    """Mirror a border of `padding` pixels (by indices: torch pads no uint8 that way)."""
    if padding >= min(images.shape[-2:]):
        raise SuiteError(f"cannot reflect {padding} pixels of an image of {tuple(images.shape[-2:])}; pad less")
    for axis in (2, 3):
        last = images.shape[axis] - 1
        positions = torch.arange(-padding, last + padding + 1, device=images.device)
        images = images.index_select(axis, last - (last - positions.abs()).abs())
    return images


def random_crop(images: Tensor, padding: int, generator: torch.Generator, mode: Padding = "zero") -> Tensor:
    """Pad and crop each image [n, C, H, W] at its own random place."""
    return crop(images, draw_offsets(len(images), padding, generator), padding, mode)


def draw_coins(count: int, probability: float, generator: torch.Generator) -> Tensor:
    """Draw booleans [count], true with `probability`."""
    return torch.rand(count, generator=generator, device=generator.device) < probability


def flip(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror left and right in those images [n, C, H, W] whose entry in `chosen` [n] is true."""
    return torch.where(chosen[:, None, None, None], images.flip(-1), images)


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image [n, C, H, W] with probability one half."""
    return flip(images, draw_coins(len(images), 0.5, generator))


def resized_crop(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Cut a box out of each image and stretch it to a square, bilinear.

    Beyond the outermost pixel centres of the box its edge pixels continue, as in a crop followed by a resize. There is
    no low-pass filter: meant for boxes not larger than `size`, as in SimCLR on CIFAR.

    Parameters
    ----------
    images : Tensor of float32 [n, C, H, W]
    boxes : Tensor of int64 [n, 4]
        Top, left, height, width in pixels.
    size : int
        Side of the output.

    Returns
    -------
    Tensor of float32 [n, C, size, size]
    """
    rows = _source_positions(boxes[:, 0], boxes[:, 2], size, images.shape[-2])
    columns = _source_positions(boxes[:, 1], boxes[:, 3], size, images.shape[-1])
    grid = torch.stack((columns[:, None, :].expand(-1, size, -1), rows[:, :, None].expand(-1, -1, size)), dim=-1)
    return F.grid_sample(images, grid, mode="bilinear", align_corners=False)


def _source_positions(start: Tensor, length: Tensor, size: int, full: int) -> Tensor:
    """Return where `size` samples of the interval fall on an axis of `full` pixels, in [-1, 1], [n, size]."""
    length = length[:, None].float()
    steps = (torch.arange(size, device=start.device) + 0.5) * (length / size) - 0.5
    pixels = start[:, None] + torch.minimum(steps.clamp(min=0), length - 1)
    return (2 * pixels + 1) / full - 1
