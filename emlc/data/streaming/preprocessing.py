"""From a photograph of any size to the pixels that a network sees: the ways of the field on Clothing1M.

In two steps. A file is read to a square of one size, always in the same way, so that its pixels depend on nothing but
the file (:mod:`emlc.data.streaming.images`). The square is then cropped in batch, on the device, in training at random.
So a random crop is taken out of the middle square of a photograph that is not one, where the published code also
reaches its far ends; nothing else differs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from PIL import Image
from PIL.Image import Resampling
from torch import Tensor

from emlc.data.augment.geometry import resized_crop
from emlc.data.augment.simclr import draw_boxes
from emlc.records.errors import SuiteError

Read = Callable[[Image.Image], Image.Image]
Crop = Callable[[Tensor, torch.Generator | None], Tensor]
"""uint8 images [n, 3, S, S] and a generator to uint8 images [n, 3, s, s]."""


@dataclass(frozen=True)
class MiddleSquare:
    """Scale the shorter side to `side` pixels, then cut the square out of the middle (bilinear, as torchvision)."""

    side: int

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return an image of `side` x `side` pixels."""
        short, long = sorted(image.size)
        longer = int(self.side * long / short)
        size = (self.side, longer) if image.width <= image.height else (longer, self.side)
        left, top = (round((length - self.side) / 2) for length in size)
        return image.resize(size, Resampling.BILINEAR).crop((left, top, left + self.side, top + self.side))


@dataclass(frozen=True)
class Squashed:
    """Scale both sides to `side` pixels, whatever the aspect (bicubic, as PLC)."""

    side: int

    def __call__(self, image: Image.Image) -> Image.Image:
        """Return an image of `side` x `side` pixels."""
        return image.resize((self.side, self.side), Resampling.BICUBIC)


@dataclass(frozen=True)
class CentreCrop:
    """The middle `size` x `size` pixels."""

    size: int

    def __call__(self, images: Tensor, _: torch.Generator | None) -> Tensor:
        """Return [n, C, size, size]."""
        top, left = (round((length - self.size) / 2) for length in images.shape[2:])
        return images[:, :, top : top + self.size, left : left + self.size]


@dataclass(frozen=True)
class RandomCrop:
    """A window of `size` x `size` pixels at a random place of each image."""

    size: int

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return [n, C, size, size]; every place is equally likely."""
        rows, columns = (
            torch.randint(length - self.size + 1, (len(images),), generator=generator, device=images.device)
            for length in images.shape[2:]
        )
        windows = images.unfold(2, self.size, 1).unfold(3, self.size, 1)
        return windows[torch.arange(len(images), device=images.device), :, rows, columns]


@dataclass(frozen=True)
class RandomResizedCrop:
    """A random rectangle of 20 to 100 % of each image's area, stretched to `size` x `size` pixels (C2D)."""

    size: int

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return [n, C, size, size]; boxes as in :func:`emlc.data.augment.simclr.draw_boxes`."""
        boxes = draw_boxes(len(images), *images.shape[2:], generator)
        return resized_crop(images.float(), boxes, self.size).round().to(torch.uint8)


@dataclass(frozen=True)
class Preprocessing:
    """How photographs are read, and how their squares are cropped in training and in evaluation."""

    read: Read
    train: Crop
    evaluation: Crop


PREPROCESSING: Mapping[str, tuple[type, type]] = {
    "cropped": (MiddleSquare, RandomCrop),
    "central": (MiddleSquare, CentreCrop),
    "squashed": (Squashed, CentreCrop),
    "resized-crop": (MiddleSquare, RandomResizedCrop),
}
"""How files are read and how they are cropped in training, by name; in evaluation all take the middle.

``cropped``: DivideMix, ELR+, AugDesc, SANM. ``central``: MLNT, MSLG. ``squashed``: PLC, and MLC and EMLC, which prepare
their files so. ``resized-crop``: C2D.
"""


def preprocessing(name: str, side: int = 256, size: int = 224) -> Preprocessing:
    """Return a way of preprocessing.

    Parameters
    ----------
    name : str
        Key of :data:`PREPROCESSING`.
    side : int
        Pixels of the square that a file is read to.
    size : int
        Pixels of the crop's side, at most `side`.

    Raises
    ------
    SuiteError
        If there is no such way, or the sizes do not fit.
    """
    if name not in PREPROCESSING:
        raise SuiteError(f"unknown preprocessing {name!r}; known: {', '.join(PREPROCESSING)}")
    if not 1 <= size <= side:
        raise SuiteError(f"images of {side} pixels cannot be cropped to {size}")
    read, train = PREPROCESSING[name]
    return Preprocessing(read(side), train(size), CentreCrop(size))
