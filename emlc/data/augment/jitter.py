"""Colour jitter of float images in [0, 1] (torchvision's ``ColorJitter``): per-image factors in a per-image order."""

from dataclasses import dataclass

import torch
from torch import Tensor

from emlc.data.augment.color import blend, luma
from emlc.data.augment.grouping import apply_chosen


@dataclass(frozen=True)
class JitterDraw:
    """What chance decides for each of n images.

    Attributes
    ----------
    factors : Tensor of float32 [n, 4]
        Of brightness, contrast and saturation (1 changes nothing), and the shift of the hue in turns.
    order : Tensor of int64 [n, 4]
        Columns of `factors` in the order in which they are applied.
    chosen : Tensor of bool [n]
        Whether the image is jittered at all.
    """

    factors: Tensor
    order: Tensor
    chosen: Tensor


def draw_jitter(
    count: int, strength: tuple[float, float, float, float], p: float, generator: torch.Generator
) -> JitterDraw:
    """Draw for `count` images.

    Parameters
    ----------
    count : int
    strength : (brightness, contrast, saturation, hue)
        Factors are uniform on 1 +- strength (strength at most 1), the hue's shift on +- strength (at most 0.5).
    p : float
        Probability that an image is jittered.
    generator : torch.Generator
    """
    device = generator.device
    spread = 2 * torch.rand((count, 4), generator=generator, device=device) - 1
    centre = torch.tensor([1.0, 1.0, 1.0, 0.0], device=device)
    order = torch.rand((count, 4), generator=generator, device=device).argsort(dim=1)
    chosen = torch.rand(count, generator=generator, device=device) < p
    return JitterDraw(centre + torch.tensor(strength, device=device) * spread, order, chosen)


def apply_jitter(images: Tensor, draw: JitterDraw) -> Tensor:
    """Jitter float images [n, C, H, W] in [0, 1], C 1 or 3."""
    operations = (jitter_brightness, jitter_contrast, jitter_saturation, jitter_hue)
    for turn in range(4):
        choices = draw.order[:, turn]
        factors = draw.factors.gather(1, choices[:, None])[:, 0]
        images = apply_chosen(images, torch.where(draw.chosen, choices, len(operations)), factors, operations)
    return images


def jitter_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend float images in [0, 1] with black."""
    return blend(images, images.new_zeros(()), factor, 1.0)


def jitter_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend float images in [0, 1] with their mean brightness."""
    return blend(images, luma(images).mean((1, 2, 3), keepdim=True), factor, 1.0)


def jitter_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend float images in [0, 1] with their grey versions."""
    return blend(images, luma(images), factor, 1.0)


def jitter_hue(images: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue of float RGB images in [0, 1] by `shift` [n] turns, keeping HSV saturation and value.

    Images with one channel have no hue and stay.
    """
    if images.shape[1] == 1:
        return images
    value = images.amax(1, keepdim=True)
    chroma = value - images.amin(1, keepdim=True)
    sector = _hue_sector(images, value, chroma) + 6 * shift[:, None, None, None]
    # Each channel is the value, less a trapezium of the hue: flat, falling and rising over six sectors.
    centres = torch.tensor([5.0, 3.0, 1.0], device=images.device)[:, None, None]
    position = (centres + sector) % 6
    return value - chroma * torch.minimum(position, 4 - position).clamp(0, 1)


def _hue_sector(images: Tensor, value: Tensor, chroma: Tensor) -> Tensor:
    """Return the hue [n, 1, H, W] in sixths of a turn from red; zero for grey."""
    red, green, blue = images.split(1, dim=1)
    divisor = torch.where(chroma > 0, chroma, 1.0)
    from_red = (green - blue) / divisor
    from_green = (blue - red) / divisor + 2
    from_blue = (red - green) / divisor + 4
    return torch.where(value == red, from_red, torch.where(value == green, from_green, from_blue))
