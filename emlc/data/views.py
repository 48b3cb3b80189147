"""From a photograph of any size to pixels of one size: the ways in which Clothing1M is prepared in the field.

A view is a chain of small steps on PIL images; the random ones take their numbers from a generator that they are given.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL.Image import Resampling, Transpose

from emlc.records.errors import SuiteError

Step = Callable[[Image.Image, np.random.Generator], Image.Image]

View = tuple[Step, ...]


class Views(NamedTuple):
    """How images are seen in training and in evaluation."""

    train: View
    evaluation: View


@dataclass(frozen=True)
class ShortSide:
    """Scale so that the shorter side has `size` pixels; the aspect is kept."""

    size: int

    def __call__(self, image: Image.Image, _: np.random.Generator) -> Image.Image:
        """Return the scaled image; the longer side is rounded down, as torchvision does."""
        short, long = sorted(image.size)
        longer = int(self.size * long / short)
        size = (self.size, longer) if image.width <= image.height else (longer, self.size)
        return image.resize(size, Resampling.BILINEAR)


@dataclass(frozen=True)
class Square:
    """Scale to `size` x `size` pixels; the aspect is lost."""

    size: int

    def __call__(self, image: Image.Image, _: np.random.Generator) -> Image.Image:
        """Return the scaled image."""
        return image.resize((self.size, self.size), Resampling.BICUBIC)


@dataclass(frozen=True)
class CentreCrop:
    """Cut `size` x `size` pixels out of the middle."""

    size: int

    def __call__(self, image: Image.Image, _: np.random.Generator) -> Image.Image:
        """Return the cut."""
        left, top = (round((side - self.size) / 2) for side in image.size)
        return image.crop((left, top, left + self.size, top + self.size))


@dataclass(frozen=True)
class RandomCrop:
    """Cut `size` x `size` pixels out of a random place."""

    size: int

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """Return the cut; every place is equally likely."""
        left, top = (int(rng.integers(0, side - self.size + 1)) for side in image.size)
        return image.crop((left, top, left + self.size, top + self.size))


@dataclass(frozen=True)
class RandomResizedCrop:
    """Cut out a random rectangle of a share of the area and scale it to `size` x `size` (Szegedy et al., CVPR 2015).

    The share is uniform from `least` to 1, the logarithm of width : height uniform from that of 3/4 to that of 4/3.
    A rectangle that does not fit is drawn again, ten times; then the largest one in the middle is taken.
    """

    size: int
    least: float = 0.2

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """Return the scaled cut."""
        box = next((box for _ in range(10) if (box := self._drawn(image, rng))), None) or _middle(image)
        return image.crop(box).resize((self.size, self.size), Resampling.BILINEAR)

    def _drawn(self, image: Image.Image, rng: np.random.Generator) -> tuple[int, int, int, int] | None:
        area = image.width * image.height * rng.uniform(self.least, 1)
        aspect = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if not (0 < width <= image.width and 0 < height <= image.height):
            return None
        left, top = (int(rng.integers(0, room + 1)) for room in (image.width - width, image.height - height))
        return left, top, left + width, top + height


def _middle(image: Image.Image) -> tuple[int, int, int, int]:
    """Return the largest box in the middle whose width : height lies in 3/4 to 4/3."""
    width = min(image.width, max(1, round(image.height * 4 / 3)))
    height = min(image.height, max(1, round(image.width * 4 / 3)))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return left, top, left + width, top + height


@dataclass(frozen=True)
class Mirror:
    """Mirror left and right every other time."""

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """Return the image or its mirror image."""
        return image.transpose(Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else image


def _cropped(size: int, crop: int) -> Views:
    return Views((ShortSide(size), RandomCrop(crop), Mirror()), (ShortSide(size), CentreCrop(crop)))


def _central(size: int, crop: int) -> Views:
    return Views((ShortSide(size), CentreCrop(crop)), (ShortSide(size), CentreCrop(crop)))


def _squashed(size: int, crop: int) -> Views:
    return Views((Square(size), CentreCrop(crop)), (Square(size), CentreCrop(crop)))


def _resized_crop(size: int, crop: int) -> Views:
    return Views((RandomResizedCrop(crop), Mirror()), (ShortSide(size), CentreCrop(crop)))


PREPROCESSING: Mapping[str, Callable[[int, int], Views]] = {
    "cropped": _cropped,
    "central": _central,
    "squashed": _squashed,
    "resized-crop": _resized_crop,
}
"""By name: ``cropped`` (DivideMix, ELR+, AugDesc, SANM), ``central`` (MLNT, MSLG: nothing random), ``squashed`` (PLC;
MLC and EMLC prepare their files so, and mirror later on), ``resized-crop`` (C2D)."""


def views_of(preprocessing: str, size: int = 256, crop: int = 224) -> Views:
    """Return the views of a variant.

    Parameters
    ----------
    preprocessing : str
        Key of :data:`PREPROCESSING`.
    size : int
        Pixels of the (shorter) side before the crop.
    crop : int
        Pixels of a side after it, at most `size`.

    Raises
    ------
    SuiteError
        If there is no such variant, or the sizes do not fit.
    """
    if preprocessing not in PREPROCESSING:
        raise SuiteError(f"unknown preprocessing {preprocessing!r}; known: {', '.join(PREPROCESSING)}")
    if not 1 <= crop <= size:
        raise SuiteError(f"images of {size} pixels cannot be cropped to {crop}")
    return PREPROCESSING[preprocessing](size, crop)
