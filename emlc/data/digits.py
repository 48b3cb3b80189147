"""The UCI handwritten digits that scikit-learn ships, embedded in the repository.

1,797 grey images of 8x8 pixels, ten classes: the test part of "Optical Recognition of Handwritten Digits" (Alpaydin and
Kaynak, UCI Machine Learning Repository, 1998), the data of :func:`sklearn.datasets.load_digits` in the same order.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emlc.data.base import Arrays
from emlc.noise.class_maps import MNIST, GivenMap
from emlc.records.bundles import read_arrays
from emlc.records.errors import SuiteError
from emlc.tasks.seeds import derive_seed

NUM_CLASSES = 10
TEST_PER_CLASS = 36
MAX_VALUE = 16

_DTYPES = {"images": "|u1", "labels": "|u1"}
_REMEDY = "move it away and run python -m pipelines.fetch data.dvc"


@dataclass(frozen=True)
class Digits:
    """The embedded default dataset: 1,437 training and 360 test images (36 of each class).

    The file holds the raw counts 0 to 16 of set pixels per cell; preparing scales them to 0 to 255 (rounded), so that
    every dataset has the same range. Mean and standard deviation are the training pixels' own.
    """

    name: str = "digits"
    title: str = "UCI digits"
    released: str = "1998-07"
    pointers: tuple[str, ...] = ("data.dvc",)
    class_map: GivenMap = field(default_factory=lambda: MNIST)
    mean: tuple[float, ...] = (0.3057,)
    std: tuple[float, ...] = (0.3762,)
    flips: bool = False

    def prepare(self, files: tuple[Path, ...]) -> Arrays:
        """Read ``digits.npz``, scale it and cut off the fixed test set.

        Raises
        ------
        SuiteError
            If the file does not hold 8x8 images with values 0 to 16 and labels 0 to 9.
        """
        (path,) = files
        images, labels = _read(path)
        pixels = np.rint(images[..., None] * (255 / MAX_VALUE)).astype(np.uint8)
        test = held_out(labels)
        train = np.setdiff1d(np.arange(len(labels)), test)
        names = tuple(str(digit) for digit in range(NUM_CLASSES))
        return Arrays(pixels[train], labels[train], pixels[test], labels[test], names)


def held_out(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the fixed test set: 36 positions of each class, in ascending order.

    Drawn once for all seeds and profiles, from ``derive_seed("digits", "test")``, so that no run ever trains on them.
    """
    rng = np.random.default_rng(derive_seed("digits", "test"))
    chosen = [rng.permutation(np.flatnonzero(labels == digit))[:TEST_PER_CLASS] for digit in range(NUM_CLASSES)]
    return np.sort(np.concatenate(chosen))


def _read(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    content = read_arrays(path, _DTYPES, _REMEDY)
    images, labels = content["images"], content["labels"]
    if (
        images.shape != (labels.size, 8, 8)
        or labels.ndim != 1
        or images.max(initial=0) > MAX_VALUE
        or not np.array_equal(np.unique(labels), np.arange(NUM_CLASSES))
    ):
        raise SuiteError(f"{path} does not hold the UCI digits; {_REMEDY}")
    return images, labels.astype(np.int64)
