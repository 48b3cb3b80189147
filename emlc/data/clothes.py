"""A part of Fashion-MNIST, embedded in the repository: small photographs of clothes (Xiao, Rasul and Vollgraf, 2017).

3,130 grey images of 28x28 pixels, ten classes, from https://github.com/zalandoresearch/fashion-mnist (MIT licence, its
notice lies beside the file). ``embedded/draw_clothes.py`` drew them from the official files: training images from the
official training set, test images from the official test set, in the official order.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emlc.data.base import Arrays
from emlc.noise.class_maps import ClassMap
from emlc.records.bundles import read_arrays
from emlc.records.errors import SuiteError

SIDE = 28
SIZES = {"train": 2130, "test": 1000}
CLASS_NAMES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)

LOOK_ALIKES: ClassMap = {0: (6,), 6: (0,), 2: (4,), 4: (2,), 5: (7,), 7: (9,), 9: (7,)}
"""T-shirt <-> shirt, pullover <-> coat, sandal -> sneaker <-> ankle boot: what a linear classifier confuses most."""

_MEMBERS = {"train_zlib": "|u1", "train_labels": "|u1", "test_zlib": "|u1", "test_labels": "|u1"}
_REMEDY = "delete it and run python -m pipelines.fetch clothes.dvc"


@dataclass(frozen=True)
class Clothes:
    """2,130 training images (213 of each class) and 1,000 test images (100 of each class).

    Sizes are those of Clothing1M's sets in small: 2,000 noisy images, 5 % as many clean ones to train on and 1.5 % to
    validate on. Mean and standard deviation are the training pixels' own. Images are not mirrored: in the data all
    shoes point to the left, in the test set too.
    """

    name: str = "clothes"
    title: str = "Clothes (Fashion-MNIST, part)"
    released: str = "2017-08-25"
    pointers: tuple[str, ...] = ("clothes.dvc",)
    class_map: Mapping[int, tuple[int, ...]] = field(default_factory=lambda: LOOK_ALIKES)
    mean: tuple[float, ...] = (0.2854,)
    std: tuple[float, ...] = (0.3527,)
    flips: bool = False

    def prepare(self, files: tuple[Path, ...]) -> Arrays:
        """Read ``clothes.npz``.

        Raises
        ------
        SuiteError
            If the file is damaged or does not hold these numbers of images and labels 0 to 9.
        """
        (path,) = files
        content = read_arrays(path, _MEMBERS, _REMEDY)
        train, test = (_part(path, content, split) for split in SIZES)
        return Arrays(*train, *test, CLASS_NAMES)


def _part(
    path: Path, content: Mapping[str, NDArray[np.uint8]], split: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    labels = content[f"{split}_labels"]
    pixels = _inflated(content[f"{split}_zlib"].tobytes(), SIZES[split] * SIDE**2)
    known = np.arange(len(CLASS_NAMES))
    if pixels is None or labels.shape != (SIZES[split],) or not np.array_equal(np.unique(labels), known):
        raise SuiteError(f"{path} does not hold the part of Fashion-MNIST; {_REMEDY}")
    images = np.frombuffer(bytearray(pixels), np.uint8).reshape(-1, SIDE, SIDE, 1)
    return images, labels.astype(np.int64)


def _inflated(stream: bytes, size: int) -> bytes | None:
    """Return what a zlib stream holds if that is exactly `size` bytes; never unpacks more than one byte beyond."""
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(stream, size + 1)
    except zlib.error:
        return None
    return content if len(content) == size and inflater.eof else None
