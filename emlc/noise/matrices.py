"""Label noise: transition matrices, and drawing noisy labels from them.

``matrix[i, j]`` is p(noisy label = j | true label = i). Every kind is a *replacement* matrix R, what becomes of a label
that is hit, mixed with the identity: ``(1 - rate) I + rate R``.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emlc.noise.class_maps import ClassMap
from emlc.records.errors import SuiteError

Labels = NDArray[np.int64]
Matrix = NDArray[np.float64]

FLIP_SEED = 1
"""The public loaders of MW-Net, MLC, MSLC and EMLC seed numpy with this before they draw the flip targets."""

ROW_SUM_TOLERANCE = 1e-6


def _symmetric(num_classes: int, _: ClassMap | None) -> Matrix:
    return np.full((num_classes, num_classes), 1 / num_classes)


def _symmetric_exclusive(num_classes: int, _: ClassMap | None) -> Matrix:
    return (1 - np.eye(num_classes)) / (num_classes - 1)


def _asymmetric(num_classes: int, class_map: ClassMap | None) -> Matrix:
    if class_map is None:
        raise SuiteError("asym noise needs a class map: say which classes turn into which")
    for source, targets in class_map.items():
        _check_map_entry(source, targets, num_classes)
    return _towards(class_map, num_classes)


def _flip(num_classes: int, _: ClassMap | None) -> Matrix:
    rng = np.random.RandomState(FLIP_SEED)
    return _towards({label: [rng.choice(_others(label, num_classes))] for label in range(num_classes)}, num_classes)


def _flip2(num_classes: int, _: ClassMap | None) -> Matrix:
    if num_classes < 3:
        raise SuiteError(f"flip2 noise needs at least 3 classes, there are {num_classes}")
    rng = np.random.RandomState(FLIP_SEED)
    pairs = {label: rng.choice(_others(label, num_classes), 2, replace=False).tolist() for label in range(num_classes)}
    return _towards(pairs, num_classes)


_REPLACEMENTS: Mapping[str, Callable[[int, ClassMap | None], Matrix]] = {
    "sym": _symmetric,
    "sym-exclusive": _symmetric_exclusive,
    "asym": _asymmetric,
    "flip": _flip,
    "flip2": _flip2,
}

KINDS = tuple(_REPLACEMENTS)
"""Names of the noise kinds that :func:`transition_matrix` knows."""


def transition_matrix(kind: str, rate: float, num_classes: int, class_map: ClassMap | None = None) -> Matrix:
    """Return p(noisy label | true label) of a noise kind.

    Parameters
    ----------
    kind : str
        ``sym``: a label that is hit is redrawn uniformly from all classes, the true one included (MW-Net, MLC, MSLC,
        EMLC, DivideMix). ``sym-exclusive``: from all other classes. ``asym``: from the targets of its class in
        `class_map`. ``flip``, ``flip2``: to one, two random other classes, the same in every run
        (xjtushujun/meta-weight-net, MitchellKT/Enhanced-Meta-Label-Correction).
    rate : float
        Probability in [0, 1] that a label is hit; in ``asym``, a label of a class that the map names.
    num_classes : int
        C, at least 2.
    class_map : mapping of int to tuple of int, optional
        Class -> classes it may turn into, equally likely; a class that is not named keeps its label. ``asym`` only.

    Returns
    -------
    ndarray of float64 [C, C]
        Rows sum to 1.

    Raises
    ------
    SuiteError
        If the kind is unknown, the rate is not in [0, 1], C < 2, or the class map is missing or names what is not a
        class.
    """
    return soften(replacement_matrix(kind, num_classes, class_map), rate)


def replacement_matrix(kind: str, num_classes: int, class_map: ClassMap | None = None) -> Matrix:
    """Return what a label that is hit becomes: :func:`transition_matrix` at rate 1."""
    if kind not in _REPLACEMENTS:
        raise SuiteError(f"unknown noise kind {kind!r}; known: {', '.join(KINDS)}")
    if num_classes < 2:
        raise SuiteError(f"label noise needs at least 2 classes, there are {num_classes}")
    return _REPLACEMENTS[kind](num_classes, class_map)


def soften(replacement: Matrix, rate: float) -> Matrix:
    """Return ``(1 - rate) I + rate R``: each label is hit with probability `rate`.

    Raises
    ------
    SuiteError
        If `rate` is not in [0, 1].
    """
    check_rate(rate)
    return (1 - rate) * np.eye(len(replacement)) + rate * replacement


def corrupt(labels: ArrayLike, matrix: ArrayLike, seed: int) -> Labels:
    """Draw every label anew from its class's row of `matrix`, independently.

    Parameters
    ----------
    labels : array of int [N]
        True classes.
    matrix : array of float [C, C]
        Row-stochastic.
    seed : int
        Same seed, same labels.

    Returns
    -------
    ndarray of int64 [N]
        Noisy labels; never one that its row gives probability 0.

    Raises
    ------
    SuiteError
        If the matrix is not square and row-stochastic, or a label is not one of its classes.
    """
    matrix = checked_matrix(matrix)
    labels = checked_labels(labels, len(matrix))
    uniform = np.random.default_rng(seed).random(len(labels))
    cumulative = np.cumsum(matrix, axis=1)
    # Divided by the last sum, it ends in exactly 1, which no draw in [0, 1) reaches.
    cumulative /= cumulative[:, -1:]
    noisy = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        members = labels == label
        noisy[members] = np.searchsorted(cumulative[label], uniform[members], side="right")
    return noisy


def corrupt_per_label(labels: ArrayLike, replacement: ArrayLike, rate: float, seed: int) -> Labels:
    """Hit each label with probability `rate`, independently (MW-Net, MLC, MSLC, EMLC); see :func:`corrupt`."""
    return corrupt(labels, soften(checked_matrix(replacement), rate), seed)


def corrupt_exact_count(labels: ArrayLike, replacement: ArrayLike, rate: float, seed: int) -> Labels:
    """Hit exactly ``int(rate * N)`` labels, chosen at random over all classes (DivideMix, C2D, FasTEN).

    Parameters
    ----------
    labels : array of int [N]
    replacement : array of float [C, C]
        What a label that is hit becomes, see :func:`replacement_matrix`. It may become itself.
    rate : float
        In [0, 1].
    seed : int

    Returns
    -------
    ndarray of int64 [N]

    Raises
    ------
    SuiteError
        As :func:`corrupt`, and if `rate` is not in [0, 1].
    """
    check_rate(rate)
    replacement = checked_matrix(replacement)
    noisy = checked_labels(labels, len(replacement))
    choice, redraw = np.random.SeedSequence(seed).generate_state(2, np.uint64)
    hit = np.random.default_rng(choice).permutation(len(noisy))[: int(rate * len(noisy))]
    noisy[hit] = corrupt(noisy[hit], replacement, int(redraw))
    return noisy


SAMPLERS: Mapping[str, Callable[[ArrayLike, ArrayLike, float, int], Labels]] = {
    "per-label": corrupt_per_label,
    "exact-count": corrupt_exact_count,
}
"""The two ways of hitting a share `rate` of the labels, by the name that profiles use."""


def expected_wrong_rate(matrix: ArrayLike, labels: ArrayLike) -> float:
    """Return the expected fraction of wrong labels after :func:`corrupt`.

    Raises
    ------
    SuiteError
        As :func:`corrupt`, and if there are no labels.
    """
    matrix = checked_matrix(matrix)
    labels = checked_labels(labels, len(matrix))
    if len(labels) == 0:
        raise SuiteError("no labels: the wrong rate of an empty set is undefined")
    return float(np.mean(1 - matrix[labels, labels]))


def matrix_of_counts(counts: NDArray[np.int64]) -> Matrix:
    """Return the rows of a confusion [C, C] as distributions; a class that does not occur keeps its label."""
    totals = counts.sum(axis=1, keepdims=True)
    return np.where(totals > 0, counts / np.maximum(totals, 1), np.eye(len(counts)))


def is_diagonally_dominant(matrix: ArrayLike) -> bool:
    """Return whether the most probable noisy label of every class is the true one, with no tie (paper, section 3.1)."""
    matrix = checked_matrix(matrix)
    others = np.where(np.eye(len(matrix), dtype=bool), -np.inf, matrix).max(axis=1)
    # The margin keeps a tie a tie when 1 - rate and rate / (C - 1) round to different sides.
    return bool(np.all(np.diag(matrix) - others > 1e-12))


def check_rate(rate: float) -> None:
    """Raise a SuiteError if `rate` is not a number in [0, 1]."""
    if isinstance(rate, bool) or not isinstance(rate, int | float | np.floating) or not 0 <= rate <= 1:
        raise SuiteError(f"noise rate {rate!r} is not a number from 0 to 1")


def checked_matrix(matrix: ArrayLike) -> Matrix:
    """Return `matrix` as float64 [C, C], or raise a SuiteError if it is not square and row-stochastic."""
    try:
        matrix = np.asarray(matrix, np.float64)
    except (TypeError, ValueError) as error:
        raise SuiteError(f"a transition matrix holds numbers in equal rows: {error}") from error
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) == 0:
        raise SuiteError(f"a transition matrix is square [C, C], this one is {list(matrix.shape)}")
    bad = ~((matrix >= 0).all(axis=1) & (np.abs(matrix.sum(axis=1) - 1) <= ROW_SUM_TOLERANCE))
    if bad.any():
        raise SuiteError(f"transition matrix row {bad.argmax()} is not a distribution: entries >= 0 that sum to 1")
    return matrix


def checked_labels(labels: ArrayLike, num_classes: int) -> Labels:
    """Return a copy of `labels` as int64 [N], or raise a SuiteError if one is not a class, 0 to `num_classes` - 1."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise SuiteError(f"labels must be whole numbers [N], these are {labels.dtype} {list(labels.shape)}")
    bad = (labels < 0) | (labels >= num_classes)
    if bad.any():
        at = int(bad.argmax())
        raise SuiteError(f"label {labels[at]} at position {at} is not a class, classes are 0 to {num_classes - 1}")
    return labels.astype(np.int64)


def _others(label: int, num_classes: int) -> list[int]:
    return [other for other in range(num_classes) if other != label]


def _towards(targets: Mapping[int, Sequence[int]], num_classes: int) -> Matrix:
    matrix = np.eye(num_classes)
    for source, classes in targets.items():
        matrix[source] = 0
        matrix[source, list(classes)] = 1 / len(classes)
    return matrix


def _check_map_entry(source: int, targets: Sequence[int], num_classes: int) -> None:
    entry = f"class map entry {source!r} -> {targets!r}"
    if not isinstance(targets, tuple | list) or len(targets) == 0:
        raise SuiteError(f"{entry}: list at least one target, or leave the class out to keep its labels")
    for label in (source, *targets):
        if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < num_classes:
            raise SuiteError(f"{entry}: {label!r} is not a class, classes are 0 to {num_classes - 1}")
    if len({source, *targets}) <= len(targets):
        raise SuiteError(f"{entry}: a target equals the class itself or another target")
