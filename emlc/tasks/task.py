"""What a task is: its identity, its arrays, and what must hold between them."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emlc.noise.matrices import SAMPLERS, Labels, Matrix, check_rate, checked_labels, checked_matrix
from emlc.records.artefacts import canonical_json, sha256_bytes
from emlc.records.errors import SuiteError
from emlc.tasks.checks import check_choice, check_indices, check_text, check_whole
from emlc.tasks.splits import LISTED, SPLITS, Indices, Split

SCHEMA = "emlc.task/1"

GIVEN = "given"
"""The sampling of labels that were not drawn but handed in, such as human ones."""

_LABELS_OF = {
    "clean_indices": "clean_labels",
    "validation_indices": "validation_labels",
    "noisy_indices": "true_labels",
}
ARRAYS = {
    **dict.fromkeys((*_LABELS_OF, *_LABELS_OF.values(), "noisy_labels"), np.dtype("<i8")),
    "matrix": np.dtype("<f8"),
    "confusion": np.dtype("<i8"),
}
"""The arrays of a task and their types."""

OPTIONAL = ("clean_per_class", "validation_per_class")
"""Facts that are left out where they are None: so tasks from before there was a choice keep their checksums."""


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """What identifies a task apart from its seed.

    Attributes
    ----------
    dataset : str
        Key of the dataset.
    data_sha256 : str
        Checksum of the dataset's arrays.
    kind : str
        Noise kind, see :func:`emlc.noise.matrices.transition_matrix`, or a name for given labels, e.g. ``human-aggre``.
    rate : float
        Nominal noise rate, 0 to 1.
    sampling : str
        Key of :data:`emlc.noise.matrices.SAMPLERS`, or ``given``.
    split : str
        Key of :data:`emlc.tasks.splits.SPLITS`, or ``listed``.
    clean_per_class : int or None
        Clean images of each class, at least 1; None for the listed split, whose sets are as large as they are.
    validation_per_class : int or None
        Further clean images of each class that only validate, at least 1; the balanced split only. None: the split
        itself says what validates.

    Raises
    ------
    SuiteError
        If a value is none of these.
    """

    dataset: str
    data_sha256: str
    kind: str
    rate: float
    sampling: str
    split: str
    clean_per_class: int | None
    validation_per_class: int | None = None

    def __post_init__(self) -> None:
        for name in ("dataset", "data_sha256", "kind"):
            check_text(name, getattr(self, name))
        check_rate(self.rate)
        object.__setattr__(self, "rate", float(self.rate))
        check_choice("sampling", self.sampling, (*SAMPLERS, GIVEN))
        check_choice("split", self.split, (*SPLITS, LISTED))
        if (self.clean_per_class is None) != (self.split == LISTED):
            raise SuiteError(f"task: clean_per_class is {self.clean_per_class!r} for the {self.split} split")
        if self.clean_per_class is not None:
            check_whole("clean_per_class", self.clean_per_class, 1)
        if self.validation_per_class is not None:
            check_whole("validation_per_class", self.validation_per_class, 1)
            if self.split != "balanced":
                raise SuiteError(f"the {self.split} split draws its own validation set; leave validation_per_class out")


@dataclass(frozen=True, kw_only=True, eq=False)
class Task(TaskSpec):
    """One dataset, split and noise draw; two tasks are equal if and only if their `sha256` are.

    The arrays are read-only. Indices are positions in the dataset's training set, in ascending order.

    Attributes
    ----------
    seed : int
        The run's seed.
    warnings : tuple of str
        What a reader of results should know, e.g. that the most probable label of a class is a wrong one.
    clean_indices, clean_labels : ndarray of int64 [M]
        The trusted set and its true labels.
    validation_indices, validation_labels : ndarray of int64 [V]
        What a student is selected on: the clean set itself, but for the released split or `validation_per_class`.
    noisy_indices, noisy_labels : ndarray of int64 [N]
        The corrupted set and the labels that methods see.
    true_labels : ndarray of int64 [N]
        True labels of the noisy set. For measurements only, never for training. Empty where nobody knows them (the
        listed split).
    matrix : ndarray of float64 [C, C]
        p(noisy label | true label) at the nominal rate; for given labels, as counted over the whole training set.
    confusion : ndarray of int64 [C, C]
        Number of noisy-set images by true (row) and noisy (column) label; where the true ones are unknown, of the
        images that bear both.

    Raises
    ------
    SuiteError
        If types, shapes or values do not fit together.
    """

    seed: int
    warnings: tuple[str, ...]
    clean_indices: Indices
    clean_labels: Labels
    validation_indices: Indices
    validation_labels: Labels
    noisy_indices: Indices
    noisy_labels: Labels
    true_labels: Labels
    matrix: Matrix
    confusion: NDArray[np.int64]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("seed", self.seed, 0)
        if not isinstance(self.warnings, tuple) or not all(isinstance(text, str) for text in self.warnings):
            raise SuiteError("task: warnings must be a tuple of texts")
        for name in ARRAYS:
            array = np.array(getattr(self, name), order="C")
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        _check_arrays(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Task) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    @property
    def num_classes(self) -> int:
        """Number of classes, C."""
        return len(self.matrix)

    @property
    def sets(self) -> Split:
        """The three sets of images."""
        return Split(self.clean_indices, self.validation_indices, self.noisy_indices)

    @property
    def effective_rate(self) -> float:
        """Fraction of the noisy set whose label is wrong; where nobody knows, of the images that bear both labels."""
        if self.split == LISTED:
            return float(1 - np.trace(self.confusion) / self.confusion.sum())
        return float(np.mean(self.noisy_labels != self.true_labels))

    @property
    def facts(self) -> dict[str, Any]:
        """All that is not an array, ready for JSON."""
        names = [field.name for field in fields(self) if field.name not in ARRAYS]
        derived = {"schema": SCHEMA, "num_classes": self.num_classes, "effective_rate": self.effective_rate}
        values = {name: getattr(self, name) for name in names}
        for name in OPTIONAL:
            if values[name] is None:
                del values[name]
        return {**values, "warnings": list(self.warnings), **derived}

    @property
    def sha256(self) -> str:
        """Checksum over all arrays and all facts, equal on every machine."""
        parts = [canonical_json(self.facts).encode()]
        for name in ARRAYS:
            array = getattr(self, name)
            parts += [f"\n{name} {array.dtype.str} {array.shape}\n".encode(), array.tobytes()]
        return sha256_bytes(*parts)


def confusion_counts(true_labels: Labels, labels: Labels, num_classes: int) -> NDArray[np.int64]:
    """Return how often each true class (row) bears each label (column), int64 [C, C]."""
    pairs = np.bincount(true_labels * num_classes + labels, minlength=num_classes**2)
    return pairs.reshape(num_classes, num_classes).astype(np.int64)


def _check_arrays(task: Task) -> None:
    for name, dtype in ARRAYS.items():
        if getattr(task, name).dtype != dtype:
            raise SuiteError(f"task: {name} must be {dtype}, not {getattr(task, name).dtype}")
    checked_matrix(task.matrix)
    for indices, labels in _LABELS_OF.items():
        check_indices(indices, getattr(task, indices))
        _check_labels(labels, task, 0 if _is_unknown(labels, task) else len(getattr(task, indices)))
    _check_labels("noisy_labels", task, len(task.noisy_indices))
    _check_confusion(task)
    _check_sets(task)


def _is_unknown(labels: str, task: Task) -> bool:
    return labels == "true_labels" and task.split == LISTED


def _check_confusion(task: Task) -> None:
    if task.split == LISTED:
        if task.confusion.shape != task.matrix.shape or task.confusion.min() < 0 or not task.confusion.any():
            raise SuiteError("task: confusion does not count the images that bear both labels")
    elif not np.array_equal(task.confusion, confusion_counts(task.true_labels, task.noisy_labels, task.num_classes)):
        raise SuiteError("task: confusion does not count true_labels against noisy_labels")


def _check_sets(task: Task) -> None:
    if task.split != "released" and np.intersect1d(task.clean_indices, task.noisy_indices).size:
        raise SuiteError(f"task: the clean and the noisy set of a {task.split} split meet")
    has_its_own = task.validation_per_class is not None or task.split == LISTED
    trained_on = np.union1d(task.clean_indices, task.noisy_indices)
    if has_its_own and np.intersect1d(task.validation_indices, trained_on).size:
        raise SuiteError("task: the validation set meets the clean or the noisy set")


def _check_labels(name: str, task: Task, length: int) -> None:
    labels = getattr(task, name)
    if len(checked_labels(labels, task.num_classes)) != length:
        raise SuiteError(f"task: {name} holds {len(labels)} labels for {length} images")
