"""RandAugment as semi-supervised learners use it: FixMatch's (Sohn et al., NeurIPS 2020, appendix D), then Cutout.

Two operations per image, each with a magnitude of its own and applied with probability one half, then a grey square.
kekmodel/FixMatch-pytorch's form, which SANM's released code has taken over.
"""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from emlc.data.augment.autoaugment import OPERATIONS
from emlc.data.augment.grouping import apply_chosen

LEVELS = 9
"""Magnitudes 1 to 9 tenths of the largest."""
GREY = 127
POOL = {
    "AutoContrast": (0.0, 0.0),
    "Brightness": (0.9, -0.95),
    "Color": (0.9, -0.95),
    "Contrast": (0.9, -0.95),
    "Equalize": (0.0, 0.0),
    "Posterize": (4.0, 4.0),
    "Rotate": (30.0, 0.0),
    "Sharpness": (0.9, -0.95),
    "ShearX": (0.3, 0.0),
    "ShearY": (0.3, 0.0),
    "Solarize": (-256.0, 256.0),
    "TranslateX": (0.3, 0.0),  # of the side
    "TranslateY": (0.3, 0.0),
}
"""Name -> (slope, offset) of :data:`emlc.data.augment.autoaugment.OPERATIONS`' magnitude by tenths of the level.

Blends are by 0.05 to 0.95, so that they only take colour, contrast and light away. One more choice changes nothing.
"""
DIRECTED = ("Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY")


@dataclass(frozen=True)
class RandAugmentDraw:
    """What chance decides for each of n images.

    Attributes
    ----------
    choices : Tensor of int64 [n, 2]
        Rows of the pool; its length for no operation.
    levels : Tensor of int64 [n, 2]
        From 1 to 9.
    applied, negative : Tensor of bool [n, 2]
        Whether the operation is applied, and its magnitude negated if it has a direction.
    centres : Tensor of float32 [n, 2]
        Of the square, row and column as shares of the sides.
    """

    choices: Tensor
    levels: Tensor
    applied: Tensor
    negative: Tensor
    centres: Tensor


def draw_randaugment(count: int, generator: torch.Generator) -> RandAugmentDraw:
    """Draw for `count` images."""
    device, shape = generator.device, (count, 2)

    def coins() -> Tensor:
        return torch.randint(2, shape, generator=generator, device=device).bool()

    return RandAugmentDraw(
        torch.randint(len(POOL) + 1, shape, generator=generator, device=device),
        torch.randint(1, LEVELS + 1, shape, generator=generator, device=device),
        coins(),
        coins(),
        torch.rand(shape, generator=generator, device=device),
    )


def apply_randaugment(images: Tensor, draw: RandAugmentDraw) -> Tensor:
    """Apply what was drawn to uint8 images [n, C, H, W], C 1 or 3."""
    magnitudes = _magnitudes((images.shape[2], images.shape[3]), images.device)
    chosen = magnitudes[draw.negative.long(), draw.choices, draw.levels]
    choices = torch.where(draw.applied, draw.choices, len(POOL))
    operations = [OPERATIONS[name] for name in POOL]
    for turn in range(2):
        images = apply_chosen(images, choices[:, turn], chosen[:, turn], operations)
    return cut_out(images, draw.centres)


def cut_out(images: Tensor, centres: Tensor) -> Tensor:
    """Cover a square of half the images' side in grey; what reaches over the edge is lost.

    Parameters
    ----------
    images : Tensor of uint8 [n, C, H, W]
    centres : Tensor [n, 2]
        Row and column, as shares of the sides.
    """
    inside = []
    for axis, side in enumerate(images.shape[2:]):
        start = (centres[:, axis] * side - side / 4).floor()[:, None]
        positions = torch.arange(side, device=images.device)
        inside.append((positions >= start) & (positions < start + side // 2))
    rows, columns = inside
    return images.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], GREY)


def randaugment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Apply two random operations and a square to each uint8 image [n, C, H, W]."""
    return apply_randaugment(images, draw_randaugment(len(images), generator))


@functools.cache
def _magnitudes(size: tuple[int, int], device: torch.device) -> Tensor:
    """Return what the operations are given, float32 [2, operations + 1, levels + 1] (plus, minus), on images (H, W)."""
    table = torch.zeros(2, len(POOL) + 1, LEVELS + 1)
    tenths = torch.arange(LEVELS + 1) / 10
    for row, (name, (slope, offset)) in enumerate(POOL.items()):
        side = {"TranslateX": size[1], "TranslateY": size[0]}.get(name, 1)
        values = (slope * tenths + offset) * side
        table[:, row] = values.floor() if name == "Posterize" else values
        table[1, row] *= -1 if name in DIRECTED else 1
    return table.to(device)
