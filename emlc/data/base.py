"""What every dataset gives: arrays in memory, and the facts that noise, augmentation and tables need."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emlc.noise.class_maps import GivenMap
from emlc.records.errors import SuiteError


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
    def class_map(self) -> GivenMap:
        """The field's asymmetric noise: class -> classes it may turn into, equally likely, by number or name.

        A class that is not named keeps its label. :func:`emlc.noise.class_maps.numbered` turns names into numbers.
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


def check_normalisation(name: str, mean: Sequence[float], std: Sequence[float], channels: int) -> None:
    """Refuse means and standard deviations that cannot be those of pixels from 0 to 1.

    A mean of 0 goes with a standard deviation of 1 only: together they leave pixels as they are.

    Parameters
    ----------
    name : str
        The dataset's key in the profile.
    mean, std : sequence of float
    channels : int
        Of its images.

    Raises
    ------
    SuiteError
        Naming the key, what is wrong with it and what to do.
    """
    for key, values in (("mean", mean), ("std", std)):
        if fault := _scale_fault(values, channels):
            raise SuiteError(f"datasets.{name}.options.{key} is {list(values)}: {fault}")
    if not all(std):
        raise SuiteError(
            f"datasets.{name}.options.std is {list(std)}: 0 divides pixels by nothing; 1 leaves them alone"
        )
    if any(m == 0 and s != 1 for m, s in zip(mean, std, strict=True)):
        raise SuiteError(
            f"datasets.{name}.options.mean is {list(mean)}: no image has a mean of 0; "
            "give the training images' own, or mean 0 with std 1 for pixels as they are"
        )


def _scale_fault(values: Sequence[float], channels: int) -> str | None:
    """Return why these are not numbers from 0 to 1, one per channel; None if they are."""
    if len(values) != channels:
        return f"it must be one number per channel, {channels} in all"
    if not all(map(math.isfinite, values)):
        return "not all are finite numbers"
    if min(values) < 0:
        return "pixels go from 0 to 1, so none can be negative"
    if max(values) > 1:
        return "pixels go from 0 to 1; divide numbers on the scale from 0 to 255 by 255"
    return None
