"""SANM's adversarial masks: where a network looks, what covers it, and what that takes from the label."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from emlc.models import undrawn

PUBLISHED = {(4, 32): ((4, 2, 0), (6, 1, 0), (4, 2, 0)), (7, 224): ((6, 3, 1), (2, 3, 1), (2, 3, 0))}
"""Sides of maps and images -> kernel, stride and output padding of the decoder's layers, as released."""


def attention(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Return where maps [n, c, h, w] are strong: their squares' sum over channels, [n, H, W] of `size`, bilinear."""
    strength = maps.square().sum(dim=1, keepdim=True)
    return F.interpolate(strength, size=tuple(size), mode="bilinear", align_corners=False)[:, 0]


def extremes(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows and columns [n, 2] of the largest and of the smallest value of each of [n, H, W]."""
    flat = values.flatten(1)
    places = (flat.argmax(dim=1), flat.argmin(dim=1))
    peak, valley = (torch.stack((place // values.shape[2], place % values.shape[2]), dim=1) for place in places)
    return peak, valley


def boxes(places: Tensor, areas: Tensor, aspects: Tensor, size: Sequence[int], *, centred: bool) -> Tensor:
    """Return bool [n, 1, H, W], true in a box at each place, moved to lie inside the image.

    Parameters
    ----------
    places : Tensor [n, 2]
        Row and column of the box's centre or upper left corner.
    areas, aspects : Tensor [n]
        In pixels, and height by width; sides are rounded, and at least one pixel.
    size : (H, W)
    centred : bool
    """
    sides = torch.stack(((areas * aspects).sqrt(), (areas / aspects).sqrt()), dim=1).round()
    inside = []
    for axis, length in enumerate(size):
        side = sides[:, axis].clamp(1, length)
        start = places[:, axis] - (side / 2).floor() * centred
        start = start.clamp(min=0).minimum(length - side)[:, None]
        positions = torch.arange(length, device=places.device)
        inside.append((positions >= start) & (positions < start + side[:, None]))
    rows, columns = inside
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def lowered(targets: Tensor, amounts: Tensor) -> Tensor:
    """Take `amounts` [n] from the largest entry of targets [n, C] and share it among the others: sums stay."""
    classes = targets.shape[1]
    largest = F.one_hot(targets.argmax(dim=1), classes).to(targets.dtype)
    return targets + amounts[:, None].to(targets.dtype) * ((1 - largest) / (classes - 1) - largest)


class Decoder(nn.Module):
    """Three transposed convolutions without activations between them, from maps [n, c, h, w] to images.

    Parameters
    ----------
    maps, images : shapes of three numbers
        Channels, height and width.
    width : int
        Channels after the first layer; half as many after the second.
    generator : torch.Generator
        Draws the initial weights, uniform in +-1/sqrt(fan-in).
    """

    def __init__(self, maps: Sequence[int], images: Sequence[int], width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.size = tuple(images[1:])
        channels = (maps[0], width, max(1, width // 2), images[0])
        with undrawn(self):
            layers = zip(channels[:-1], channels[1:], _plan(maps[1:], images[1:]), strict=True)
            self.layers = nn.Sequential(*(nn.ConvTranspose2d(old, new, **plan) for old, new, plan in layers))
        for layer in self.layers:
            bound = layer.weight[0].numel() ** -0.5
            for parameter in layer.parameters():
                nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def forward(self, maps: Tensor) -> Tensor:
        """Return images [n, C, H, W]."""
        height, width = self.size
        return self.layers(maps.contiguous())[:, :, :height, :width]


def _plan(maps: Sequence[int], images: Sequence[int]) -> list[dict[str, int]]:
    """Return the layers' kernels and strides: as released, or powers of two that make up for the backbone's."""
    sides = (max(maps), max(images))
    if sides in PUBLISHED:
        names = ("kernel_size", "stride", "output_padding")
        return [dict(zip(names, layer, strict=True)) for layer in PUBLISHED[sides]]
    strides = [1, 1, 1]
    while math.prod(strides) * sides[0] < sides[1]:
        strides[strides.index(min(strides))] *= 2
    return [{"kernel_size": stride + 2, "stride": stride, "padding": 1} for stride in strides]
