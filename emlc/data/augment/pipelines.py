"""Ready pipelines: from uint8 images as stored to normalised floats as the network sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from emlc.data.augment.autoaugment import autoaugment
from emlc.data.augment.geometry import Padding, random_crop, random_flip
from emlc.data.augment.jitter import apply_jitter, draw_jitter
from emlc.data.augment.randaugment import randaugment
from emlc.data.augment.simclr import simclr_view
from emlc.data.augment.warp import affine, draw_affine
from emlc.records.errors import SuiteError


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Scale uint8 to [0, 1], then subtract the mean and divide by the standard deviation of each channel.

    Parameters
    ----------
    images : Tensor of uint8 [n, C, H, W]
    mean, std : sequence of C floats
        On the [0, 1] scale.

    Returns
    -------
    Tensor of float32 [n, C, H, W]

    Raises
    ------
    SuiteError
        If there is not one mean and one standard deviation per channel.
    """
    return _standardise(images.float() / 255, mean, std)


def _standardise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    if not len(mean) == len(std) == images.shape[1]:
        raise SuiteError(
            f"images of {images.shape[1]} channels need as many means and standard deviations, "
            f"not {len(mean)} and {len(std)}"
        )
    return (images - _per_channel(tuple(mean), images.device)) / _per_channel(tuple(std), images.device)


def _laid_out(values: Tensor, images: Tensor) -> Tensor:
    """Return the values in the memory layout of `images`, which arithmetic on grey ones may lose.

    A convolution's weights take their layout over from its inputs, but not from a checkpoint, and then round otherwise.
    """
    return torch.empty_like(images, dtype=values.dtype).copy_(values)


@cache
def _per_channel(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Return float32 [C, 1, 1]; copied to the device once, not in every batch."""
    return torch.tensor(values, dtype=torch.float32, device=device)[:, None, None]


@dataclass(frozen=True)
class CropFlip:
    """Padded random crop, random mirror image, normalisation: the field's standard augmentation on CIFAR.

    Attributes
    ----------
    padding : int
        Pixels on each side, 4 on CIFAR; 0 does not crop.
    flips : bool
        Whether images are mirrored.
    mean, std : tuple of float
        Per channel, on the [0, 1] scale.
    mode : {"zero", "reflect"}
        Content of the padding: zero in EMLC, DivideMix and FasTEN, reflect in MLC, MW-Net and MSLC (their public code).
    """

    padding: int
    flips: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    mode: Padding = "zero"

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return float32 [n, C, H, W] from uint8 of that shape, on the generator's device."""
        return normalise(self.augment(images, generator), self.mean, self.std)

    def augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return the augmented images before normalisation, uint8 [n, C, H, W]."""
        if self.padding:
            images = random_crop(images, self.padding, generator, self.mode)
        return random_flip(images, generator) if self.flips else images


@dataclass(frozen=True)
class CropFlipAutoAugment(CropFlip):
    """The same with AutoAugment between mirror image and normalisation, as EMLC treats its clean images.

    Attributes
    ----------
    policy : {"cifar10", "imagenet", "grey"}
        EMLC uses the first for both CIFAR data sets, the second (without crop: padding 0) for Clothing1M.
    """

    policy: str = "cifar10"

    def augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return the augmented images before normalisation, uint8 [n, C, H, W]."""
        return autoaugment(super().augment(images, generator), self.policy, generator)


@dataclass(frozen=True)
class CropFlipRandAugment(CropFlip):
    """The same with RandAugment and Cutout between mirror image and normalisation: FixMatch's strong view."""

    def augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return the augmented images before normalisation, uint8 [n, C, H, W]."""
        images = super().augment(images, generator)
        return _laid_out(randaugment(images, generator), images)


@dataclass(frozen=True)
class CropFlipJitter(CropFlip):
    """The same with every image's colours jittered and the image warped: SANM's warm-up on CIFAR.

    Brightness, contrast and saturation by 1 +- 0.4, hue by 0.4 turns, then :func:`emlc.data.augment.warp.draw_affine`.
    """

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return float32 [n, C, H, W] from uint8 of that shape, on the generator's device."""
        images = self.augment(images, generator)
        jittered = apply_jitter(images.float() / 255, draw_jitter(len(images), (0.4,) * 4, 1.0, generator))
        maps = draw_affine(len(images), (images.shape[2], images.shape[3]), generator)
        return _laid_out(_standardise(affine(jittered, maps), self.mean, self.std), images)


@dataclass(frozen=True)
class SimCLRView:
    """One random SimCLR view of each image, normalised.

    Attributes
    ----------
    size : int
        Side of the view, that of the images.
    flips : bool
        Whether images are mirrored.
    mean, std : tuple of float
        Per channel, on the [0, 1] scale.
    """

    size: int
    flips: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return float32 [n, C, size, size] from uint8 [n, C, H, W], on the generator's device."""
        return _standardise(simclr_view(images, self.size, generator, self.flips), self.mean, self.std)
