"""What pixels become: lookup tables and blends of uint8 images, per image and in batch.

The operations are those of Pillow and torchvision that AutoAugment (Cubuk et al., 2019) names. Each takes images
[n, C, H, W] with C 1 or 3 and a magnitude per image [n].
"""

import torch
from torch import Tensor

LEVELS = 256
TOP = LEVELS - 1


def luma(images: Tensor) -> Tensor:
    """Return the brightness [n, 1, H, W], float32, of images with one channel or red, green, blue (ITU-R 601)."""
    if images.shape[1] == 1:
        return images.float()
    red, green, blue = images.float().split(1, dim=1)
    return 0.2989 * red + 0.587 * green + 0.114 * blue


def blend(images: Tensor, degenerate: Tensor, factor: Tensor, top: float) -> Tensor:
    """Return ``factor * images + (1 - factor) * degenerate``, clamped to [0, `top`], with a factor per image [n].

    Computed as a difference, so that a factor of 1, or images equal to `degenerate`, change nothing at all.
    """
    excess = (factor - 1)[:, None, None, None]
    return (images + excess * (images - degenerate)).clamp(0, top)


def look_up(images: Tensor, tables: Tensor) -> Tensor:
    """Replace every value v of a channel by that channel's ``table[v]``.

    Parameters
    ----------
    images : Tensor of uint8 [n, C, H, W]
    tables : Tensor [n or 1, C or 1, 256]

    Returns
    -------
    Tensor of uint8 [n, C, H, W]
    """
    tables = tables.to(torch.uint8).expand(*images.shape[:2], LEVELS)
    return tables.gather(2, images.flatten(2).long()).view_as(images)


def _values(images: Tensor) -> Tensor:
    """Return 0 to 255 on the images' device, float32."""
    return torch.arange(LEVELS, device=images.device, dtype=torch.float32)


def invert(images: Tensor, _: Tensor) -> Tensor:
    """Return the negative."""
    return TOP - images


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Return images with the values at or above `threshold` inverted."""
    return torch.where(images >= threshold[:, None, None, None], TOP - images, images)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest `bits` of every value."""
    mask = TOP - (2 ** (8 - bits.long()) - 1)
    return images & mask.to(torch.uint8)[:, None, None, None]


def autocontrast(images: Tensor, _: Tensor) -> Tensor:
    """Stretch each channel to 0 and 255, rounding down; a channel of one value stays."""
    low = images.amin((2, 3))[..., None].float()
    high = images.amax((2, 3))[..., None].float()
    values = _values(images)
    stretched = ((values - low) * (TOP / (high - low))).clamp(0, TOP)
    return look_up(images, torch.where(high > low, stretched, values))


def equalize(images: Tensor, _: Tensor) -> Tensor:
    """Equalise each channel's histogram as Pillow does.

    The step between output levels is the number of pixels below the channel's maximum, divided by 255 and rounded
    down; a channel where that is zero stays (so does every image of fewer than 256 pixels).
    """
    count, channels, height, width = images.shape
    pixels = images.flatten(2).long()
    histogram = torch.zeros(count, channels, LEVELS, dtype=torch.int64, device=images.device)
    histogram.scatter_add_(2, pixels, torch.ones_like(pixels))
    highest = histogram.gather(2, pixels.amax(2, keepdim=True))
    step = (height * width - highest) // TOP
    below = histogram.cumsum(2) - histogram
    tables = ((below + step // 2) // step.clamp(min=1)).clamp(max=TOP)
    return look_up(images, torch.where(step > 0, tables, _values(images).long()))


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with black; factor 1 changes nothing."""
    return blend(images, images.new_zeros(()), factor, TOP).to(torch.uint8)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the image's mean grey level."""
    return blend(images, luma(images).floor().mean((1, 2, 3), keepdim=True), factor, TOP).to(torch.uint8)


def saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey image (AutoAugment's Color)."""
    return blend(images, luma(images).floor(), factor, TOP).to(torch.uint8)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with a smoothed image: 3x3 mean with the centre counted five times; the outermost pixels stay."""
    pixels = images.float()
    columns = pixels[..., :-2] + pixels[..., 1:-1] + pixels[..., 2:]
    total = columns[..., :-2, :] + columns[..., 1:-1, :] + columns[..., 2:, :]
    smooth = pixels.clone()
    smooth[..., 1:-1, 1:-1] = ((total + 4 * pixels[..., 1:-1, 1:-1]) / 13).round()
    return blend(pixels, smooth, factor, TOP).to(torch.uint8)
