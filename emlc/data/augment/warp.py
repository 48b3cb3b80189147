"""Affine maps of whole images, nearest neighbour and black outside, each image with its own."""

import torch
from torch import Tensor

Row = tuple[Tensor | float, Tensor | float, Tensor | float]


def affine(images: Tensor, matrices: Tensor) -> Tensor:
    """Map each image by its own affine matrix, nearest neighbour, black outside.

    Parameters
    ----------
    images : Tensor [n, C, H, W]
    matrices : Tensor of float32 [n, 2, 3]
        Output position to source position: ``(x, y) = matrix @ (column, row, 1)``, in pixels from the image centre.

    Returns
    -------
    Tensor [n, C, H, W]
    """
    count, channels, height, width = images.shape
    x = torch.arange(width, device=images.device) - (width - 1) / 2
    y = torch.arange(height, device=images.device) - (height - 1) / 2
    source = matrices[:, :, 0, None, None] * x + matrices[:, :, 1, None, None] * y[:, None]
    source = source + matrices[:, :, 2, None, None]
    columns = (source[:, 0] + (width - 1) / 2).round()
    rows = (source[:, 1] + (height - 1) / 2).round()
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    indices = torch.where(inside, rows * width + columns, 0).long().flatten(1)
    gathered = images.flatten(2).gather(2, indices[:, None].expand(-1, channels, -1))
    return gathered.view(count, channels, height, width) * inside[:, None]


def draw_affine(count: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Draw matrices [count, 2, 3] for :func:`affine`, of images of `size` (H, W).

    Each turns by up to 15 degrees, scales by 2/3 to 3/2 and moves by up to a tenth of the sides.
    """
    turn, growth, down, right = torch.rand((4, count), generator=generator, device=generator.device)
    angle, shrinking = (30 * turn - 15).deg2rad(), 1 / (2 / 3 + (3 / 2 - 2 / 3) * growth)
    cosine, sine = angle.cos() * shrinking, angle.sin() * shrinking
    x = (cosine, -sine, (0.2 * right - 0.1) * size[1])
    return _matrices(angle, x, y=(sine, cosine, (0.2 * down - 0.1) * size[0]))


def shear_x(images: Tensor, slope: Tensor) -> Tensor:
    """Slide each row by `slope` times its distance from the top edge."""
    return affine(images, _matrices(slope, x=(1, slope, slope * images.shape[-2] / 2)))


def shear_y(images: Tensor, slope: Tensor) -> Tensor:
    """Slide each column by `slope` times its distance from the left edge."""
    return affine(images, _matrices(slope, y=(slope, 1, slope * images.shape[-1] / 2)))


def translate_x(images: Tensor, pixels: Tensor) -> Tensor:
    """Move right by whole `pixels`, rounded towards zero."""
    return affine(images, _matrices(pixels, x=(1, 0, -pixels.trunc())))


def translate_y(images: Tensor, pixels: Tensor) -> Tensor:
    """Move down by whole `pixels`, rounded towards zero."""
    return affine(images, _matrices(pixels, y=(0, 1, -pixels.trunc())))


def rotate(images: Tensor, degrees: Tensor) -> Tensor:
    """Turn anticlockwise about the centre."""
    cosine, sine = degrees.deg2rad().cos(), degrees.deg2rad().sin()
    return affine(images, _matrices(degrees, x=(cosine, -sine, 0), y=(sine, cosine, 0)))


def _matrices(magnitude: Tensor, x: Row = (1, 0, 0), y: Row = (0, 1, 0)) -> Tensor:
    """Return matrices [n, 2, 3] for :func:`affine` from their entries, scalars or [n]."""
    entries = [torch.as_tensor(entry, device=magnitude.device).expand_as(magnitude) for entry in (*x, *y)]
    return torch.stack([entry.float() for entry in entries], dim=1).view(-1, 2, 3)
