"""Which training images are clean, which validate, which are noisy: the paper's splits and the public code's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emlc.records.errors import SuiteError

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """Positions in the training set, each array in ascending order and without repeats.

    Attributes
    ----------
    clean : ndarray of int64 [M]
        The trusted set D.
    validation : ndarray of int64 [V]
        What a student is selected on.
    noisy : ndarray of int64 [N]
        The corrupted set.
    """

    clean: Indices
    validation: Indices
    noisy: Indices


def balanced_split(labels: NDArray[np.int64], per_class: int, seed: int) -> Split:
    """Split as the paper says: a class-balanced clean set, which also validates; all the rest is noisy (section 4.1).

    Parameters
    ----------
    labels : ndarray of int64 [N]
        True classes of the training set, 0 to C - 1.
    per_class : int
        Clean images of each class.
    seed : int

    Returns
    -------
    Split
        Clean and noisy never meet.

    Raises
    ------
    SuiteError
        If `per_class` is below 1 or larger than a class, or if no image is left for the noisy set.
    """
    members = _members(labels, per_class)
    rng = np.random.default_rng(seed)
    clean, noisy = _cut([rng.permutation(indices) for indices in members], per_class)
    return Split(clean=clean, validation=clean, noisy=noisy)


def held_out_split(labels: NDArray[np.int64], per_class: int, validation_per_class: int, seed: int) -> Split:
    """Split as Clothing1M is (section 4.2): a clean set to train on, another to validate on; all the rest is noisy.

    Both are class-balanced. The clean set is that of :func:`balanced_split` with the same seed.

    Parameters
    ----------
    labels, per_class, seed
        As in :func:`balanced_split`.
    validation_per_class : int
        Validation images of each class.

    Returns
    -------
    Split
        No two of the three sets meet.

    Raises
    ------
    SuiteError
        If a number is below 1, a class has too few images for both, or none is left for the noisy set.
    """
    if min(per_class, validation_per_class) < 1:
        wanted = f"{per_class} and {validation_per_class}"
        raise SuiteError(f"the clean and the validation set need at least 1 image per class each, not {wanted}")
    held = per_class + validation_per_class
    members = _members(labels, held)
    rng = np.random.default_rng(seed)
    shuffled = [rng.permutation(indices) for indices in members]
    clean, _ = _cut(shuffled, per_class)
    trusted, noisy = _cut(shuffled, held)
    return Split(clean=clean, validation=np.setdiff1d(trusted, clean), noisy=noisy)


def released_split(labels: NDArray[np.int64], per_class: int, seed: int) -> Split:
    """Split as the public EMLC code does (MitchellKT/Enhanced-Meta-Label-Correction): three draws that overlap.

    The data set is built three times, clean, noisy and validation, and each time shuffles every class with numpy's
    global generator, which has moved on. So nearly all clean and validation images are in the noisy set too, and
    nearly ``2 C per_class`` true labels are used. Between the second and the third draw the code seeds the generator
    again and spends one number on each noisy label.

    Parameters
    ----------
    labels, per_class
        As in :func:`balanced_split`.
    seed : int
        The public code's ``--seed``, 0 to 2**32 - 1.

    Returns
    -------
    Split

    Raises
    ------
    SuiteError
        As :func:`balanced_split`, and if the seed is out of range.
    """
    if not 0 <= seed < 2**32:
        raise SuiteError(f"the released split's seed must be in 0 to 2**32 - 1, not {seed}")
    members = _members(labels, per_class)
    rng = np.random.RandomState(seed)
    clean, _ = _cut(_shuffled(members, rng), per_class)
    _, noisy = _cut(_shuffled(members, rng), per_class)
    rng.seed(seed)
    rng.random_sample(len(noisy))
    validation, _ = _cut(_shuffled(members, rng), per_class)
    return Split(clean=clean, validation=validation, noisy=noisy)


SPLITS: Mapping[str, Callable[[NDArray[np.int64], int, int], Split]] = {
    "balanced": balanced_split,
    "released": released_split,
}
"""The splits by the name that profiles use."""

LISTED = "listed"
"""The split that a dataset brings along: its files say which images are clean, validate, and are noisy (Clothing1M)."""


def overlap_counts(split: Split) -> dict[str, int]:
    """Return how many images two sets of a split share, and how many true labels are used in all.

    Returns
    -------
    dict of str to int
        ``clean_in_noisy``, ``validation_in_noisy``, ``clean_in_validation``; ``clean_labels_used``: images in clean,
        validation or both.
    """
    return {
        "clean_in_noisy": len(np.intersect1d(split.clean, split.noisy)),
        "validation_in_noisy": len(np.intersect1d(split.validation, split.noisy)),
        "clean_in_validation": len(np.intersect1d(split.clean, split.validation)),
        "clean_labels_used": len(np.union1d(split.clean, split.validation)),
    }


def _members(labels: NDArray[np.int64], per_class: int) -> list[Indices]:
    if per_class < 1:
        raise SuiteError(f"the clean set needs at least 1 image per class, not {per_class}")
    sizes = np.bincount(labels)
    if len(sizes) == 0:
        raise SuiteError("the training set is empty: nothing to split")
    smallest = int(sizes.argmin())
    if per_class > sizes[smallest]:
        raise SuiteError(
            f"{per_class} clean images per class were asked for, but class {smallest} has only {sizes[smallest]}"
        )
    if per_class * len(sizes) == len(labels):
        raise SuiteError(f"{per_class} clean images per class leave none for the noisy set; ask for fewer")
    return [np.flatnonzero(labels == label) for label in range(len(sizes))]


def _shuffled(members: list[Indices], rng: np.random.RandomState) -> list[Indices]:
    return [rng.permutation(indices) for indices in members]


def _cut(shuffled: list[Indices], per_class: int) -> tuple[Indices, Indices]:
    first = np.concatenate([indices[:per_class] for indices in shuffled])
    rest = np.concatenate([indices[per_class:] for indices in shuffled])
    return np.sort(first), np.sort(rest)
