"""SimCLR's random view of an image (Chen et al., 2020), with the settings of HobbitLong/SupContrast for CIFAR.

Resized crop of 20 to 100 % of the area, mirror image, colour jitter (0.4, 0.4, 0.4, 0.1) with probability 0.8, grey
with probability 0.2; no blur. Values stay floats between the steps, where Pillow rounds to uint8 after each.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from emlc.data.augment.color import luma
from emlc.data.augment.geometry import draw_coins, flip, resized_crop
from emlc.data.augment.jitter import JitterDraw, apply_jitter, draw_jitter

AREA = (0.2, 1.0)
RATIO = (3 / 4, 4 / 3)
ATTEMPTS = 10
JITTER_STRENGTH = (0.4, 0.4, 0.4, 0.1)
JITTER_PROBABILITY = 0.8
GREY_PROBABILITY = 0.2


@dataclass(frozen=True)
class ViewDraw:
    """What chance decides for each of n images.

    Attributes
    ----------
    boxes : Tensor of int64 [n, 4]
        Top, left, height, width of the crop.
    flips : Tensor of bool [n]
    jitter : JitterDraw
    grey : Tensor of bool [n]
    """

    boxes: Tensor
    flips: Tensor
    jitter: JitterDraw
    grey: Tensor


def draw_boxes(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Draw crops [count, 4] (top, left, height, width) of images of `height` x `width` pixels.

    Area and logarithm of the aspect ratio are uniform; the first of ten tries that fits is taken, and where none does,
    the largest central crop of a permitted ratio (as torchvision's ``RandomResizedCrop``).
    """
    device = generator.device
    area, log_ratio, row, column = torch.rand((4, count, ATTEMPTS), generator=generator, device=device)
    area = height * width * (AREA[0] + (AREA[1] - AREA[0]) * area)
    ratio = torch.exp(math.log(RATIO[0]) + math.log(RATIO[1] / RATIO[0]) * log_ratio)
    widths, heights = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    tops, lefts = (row * (height - heights + 1)).floor(), (column * (width - widths + 1)).floor()
    tries = torch.stack((tops, lefts, heights, widths), dim=-1).long()
    first = tries[torch.arange(count, device=device), fits.int().argmax(dim=1)]
    return torch.where(fits.any(dim=1, keepdim=True), first, torch.tensor(_central_box(height, width), device=device))


def _central_box(height: int, width: int) -> tuple[int, int, int, int]:
    """Return the largest central crop whose aspect ratio is permitted."""
    box_width = min(width, round(height * RATIO[1]))
    box_height = min(height, round(width / RATIO[0]))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def draw_view(count: int, height: int, width: int, generator: torch.Generator, flips: bool = True) -> ViewDraw:
    """Draw a view for `count` images of `height` x `width` pixels; without `flips` none is mirrored."""
    return ViewDraw(
        draw_boxes(count, height, width, generator),
        draw_coins(count, 0.5 if flips else 0.0, generator),
        draw_jitter(count, JITTER_STRENGTH, JITTER_PROBABILITY, generator),
        draw_coins(count, GREY_PROBABILITY, generator),
    )


def apply_view(images: Tensor, size: int, draw: ViewDraw) -> Tensor:
    """Return the drawn views, float32 [n, C, size, size] in [0, 1], of uint8 images [n, C, H, W], C 1 or 3."""
    views = resized_crop(images.float() / 255, draw.boxes, size)
    views = apply_jitter(flip(views, draw.flips), draw.jitter)
    return torch.where(draw.grey[:, None, None, None], luma(views), views)


def simclr_view(images: Tensor, size: int, generator: torch.Generator, flips: bool = True) -> Tensor:
    """Return one random view of each image.

    Parameters
    ----------
    images : Tensor of uint8 [n, C, H, W]
        C is 1 or 3. On the generator's device.
    size : int
        Side of the view; not smaller than the images, as crops are not low-pass filtered.
    generator : torch.Generator
    flips : bool
        Whether mirror images count as views (digits: no).

    Returns
    -------
    Tensor of float32 [n, C, size, size]
        In [0, 1], not normalised.
    """
    return apply_view(images, size, draw_view(len(images), images.shape[2], images.shape[3], generator, flips))
