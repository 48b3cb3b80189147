"""What every dataset gives: arrays in memory, and the facts that noise, augmentation and tables need."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Arrays:
    """A dataset's images and true labels.

    Attributes
    ----------
    train_images, test_images : ndarray of uint8 [N, H, W, C]
        Pixels, 0 to 255. C is 1 (grey) or 3 (RGB).
    train_labels, test_labels : ndarray of int64 [N]
        True classes, 0 to ``len(class_names) - 1``.
    class_names : tuple of str
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    class_names: tuple[str, ...]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


class Dataset(Protocol):
    """One dataset: a frozen dataclass of its own in a file of its own; a profile may replace its facts."""

    @property
    def name(self) -> str:
        """Key in a profile's ``datasets`` block, e.g. ``cifar10``."""

    @property
    def title(self) -> str:
        """As tables print it, e.g. ``CIFAR-10``."""

    @property
    def released(self) -> str:
        """Date of the data (ISO, as precise as its source gives it), printed under tables."""

    @property
    def pointers(self) -> tuple[str, ...]:
        """The ``.dvc`` files, relative to the repository root, that pin the bytes this dataset is made from.

        An entry that does not end in ``.dvc`` is a local file or folder of the user's own, pinned by nothing.
        """

    @property
    def class_map(self) -> Mapping[int, tuple[int, ...]]:
        """The field's asymmetric noise: class -> classes it may turn into, equally likely.

        A class that is not named keeps its label.
        """

    @property
    def mean(self) -> tuple[float, ...]:
        """Per-channel mean on the [0, 1] scale, as the field uses it."""

    @property
    def std(self) -> tuple[float, ...]:
        """Per-channel standard deviation on the [0, 1] scale, as the field uses it."""

    @property
    def flips(self) -> bool:
        """Whether a mirrored image is still an image of its class (digits: no)."""

    def prepare(self, files: tuple[Path, ...]) -> Arrays:
        """Turn the source files (one per pointer, same order, already verified) into arrays."""
        ...
