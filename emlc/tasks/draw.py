"""The task: one dataset, one split and one noise draw for one seed. Every method of a comparison trains on the same."""

from dataclasses import asdict

import numpy as np
from numpy.typing import ArrayLike

from emlc.data.base import Arrays
from emlc.data.listing import Listing
from emlc.noise.class_maps import GivenMap, numbered
from emlc.noise.instances import INSTANCE_KINDS, corrupt_images
from emlc.noise.matrices import (
    KINDS,
    SAMPLERS,
    Labels,
    Matrix,
    checked_labels,
    checked_matrix,
    corrupt,
    expected_wrong_rate,
    is_diagonally_dominant,
    matrix_of_counts,
    replacement_matrix,
    soften,
)
from emlc.noise.matrix_file import MATRIX
from emlc.records.errors import SuiteError
from emlc.tasks.seeds import derive_seed
from emlc.tasks.splits import SPLITS, Split, held_out_split, overlap_counts
from emlc.tasks.store import load_task, save_task
from emlc.tasks.task import GIVEN, Task, TaskSpec, confusion_counts

__all__ = [
    "GIVEN",
    "Task",
    "TaskSpec",
    "load_task",
    "make_task",
    "make_task_from_labels",
    "make_task_from_matrix",
    "save_task",
]

Data = Arrays | Listing
"""What tasks are drawn of: labels; only noise that depends on the image looks at pixels."""


def make_task(arrays: Data, spec: TaskSpec, class_map: GivenMap | None, seed: int) -> Task:
    """Draw the split and the noise of a task.

    The split depends on the dataset, the split's name and size and the seed, so all noise levels of a seed share it.
    The noise depends on the dataset, its kind, rate and sampling and the seed.

    Parameters
    ----------
    arrays : Arrays or Listing
    spec : TaskSpec
    class_map : mapping of (int or str) to tuple of (int or str), or None
        For ``asym`` noise, see :func:`emlc.noise.matrices.transition_matrix`; by number or name.
    seed : int
        At least 0.

    Returns
    -------
    Task
        With a warning if the noise breaks the paper's assumption that the true label is the most probable one of every
        class (section 3.1), or if the split's clean and noisy sets meet. The matrix of noise that depends on the image
        is the row-normalised confusion of the noisy set.

    Raises
    ------
    SuiteError
        If the noise or the split is impossible, see :mod:`emlc.noise.matrices`, :mod:`emlc.noise.instances` and
        :mod:`emlc.tasks.splits`.
    """
    if spec.sampling not in SAMPLERS:
        raise SuiteError(f"noise cannot be drawn by sampling {spec.sampling!r}; known: {', '.join(SAMPLERS)}")
    if spec.kind in INSTANCE_KINDS:
        return _make_image_dependent(arrays, spec, seed)
    by_number = None if class_map is None else numbered(class_map, arrays.class_names)
    replacement = replacement_matrix(spec.kind, arrays.num_classes, by_number)
    matrix = soften(replacement, spec.rate)
    split = _draw_split(arrays, spec, seed)
    true_labels = arrays.train_labels[split.noisy]
    noisy_labels = SAMPLERS[spec.sampling](true_labels, replacement, spec.rate, _noise_seed(spec, seed))
    return _assemble(arrays, spec, seed, split, noisy_labels, matrix)


def make_task_from_matrix(arrays: Data, spec: TaskSpec, matrix: ArrayLike, seed: int) -> Task:
    """Draw the split and the noise of a task whose transition matrix is given.

    Parameters
    ----------
    arrays : Arrays or Listing
    spec : TaskSpec
        Its kind has to be ``matrix``, its sampling ``per-label``, its rate the expected share of wrong labels over the
        whole training set, to four digits.
    matrix : array of float [C, C]
        p(noisy label | true label), e.g. from :func:`emlc.noise.matrix_file.read_matrix`.
    seed : int
        At least 0.

    Returns
    -------
    Task
        With warnings as :func:`make_task`.

    Raises
    ------
    SuiteError
        If spec and matrix do not fit each other or the dataset, or the split is impossible.
    """
    matrix = checked_matrix(matrix)
    if (spec.kind, spec.sampling) != (MATRIX, "per-label"):
        raise SuiteError(f"noise from a matrix is kind {MATRIX!r}, per-label, not {spec.kind!r}, {spec.sampling}")
    if len(matrix) != arrays.num_classes:
        raise SuiteError(f"the transition matrix is for {len(matrix)} classes, the dataset has {arrays.num_classes}")
    expected = round(expected_wrong_rate(matrix, arrays.train_labels), 4)
    if spec.rate != expected:
        raise SuiteError(f"noise {MATRIX} has rate {expected:.4f}, not {spec.rate}; correct the column's rate")
    split = _draw_split(arrays, spec, seed)
    noisy_labels = corrupt(arrays.train_labels[split.noisy], matrix, _noise_seed(spec, seed))
    return _assemble(arrays, spec, seed, split, noisy_labels, matrix)


def make_task_from_labels(arrays: Data, spec: TaskSpec, labels: ArrayLike, seed: int) -> Task:
    """Make a task from given noisy labels, such as CIFAR-N's human ones (Wei et al., ICLR 2022).

    Parameters
    ----------
    arrays : Arrays or Listing
    spec : TaskSpec
        Its kind names the label set, e.g. ``human-aggre``, and its rate is what is known of it; its sampling has to be
        ``given``.
    labels : array of int [N]
        The given label of every training image, in the dataset's order.
    seed : int
        Draws the split.

    Returns
    -------
    Task
        Its matrix is the row-normalised confusion of the given labels.

    Raises
    ------
    SuiteError
        If the labels do not fit the dataset, kind or sampling are those of drawn noise, or the split is impossible.
    """
    if spec.kind in (*KINDS, *INSTANCE_KINDS, MATRIX):
        raise SuiteError(f"noise kind {spec.kind!r} is drawn; given labels need a name of their own, e.g. human-aggre")
    if spec.sampling != GIVEN:
        raise SuiteError(f"given labels cannot have sampling {spec.sampling!r}; say {GIVEN!r}")
    labels = checked_labels(labels, arrays.num_classes)
    if len(labels) != len(arrays.train_labels):
        raise SuiteError(f"{len(labels)} labels given for {len(arrays.train_labels)} training images")
    split = _draw_split(arrays, spec, seed)
    matrix = matrix_of_counts(confusion_counts(arrays.train_labels, labels, arrays.num_classes))
    return _assemble(arrays, spec, seed, split, labels[split.noisy], matrix)


def _make_image_dependent(arrays: Data, spec: TaskSpec, seed: int) -> Task:
    if spec.sampling != "per-label":
        raise SuiteError(f"noise {spec.kind} draws each label by its image; sampling must be per-label")
    if isinstance(arrays, Listing):
        raise SuiteError(f"noise {spec.kind} looks at pixels, and the images of {spec.dataset} stay on disk")
    split = _draw_split(arrays, spec, seed)
    true_labels = arrays.train_labels[split.noisy]
    images, num_classes = arrays.train_images[split.noisy], arrays.num_classes
    noisy_labels = corrupt_images(spec.kind, images, true_labels, num_classes, spec.rate, _noise_seed(spec, seed))
    # Counted, not averaged over probabilities: their last bits, and so the task's checksum, are the machine's own.
    matrix = matrix_of_counts(confusion_counts(true_labels, noisy_labels, num_classes))
    return _assemble(arrays, spec, seed, split, noisy_labels, matrix)


def _noise_seed(spec: TaskSpec, seed: int) -> int:
    return derive_seed("noise", spec.dataset, spec.kind, spec.rate, spec.sampling, seed)


def _draw_split(arrays: Data, spec: TaskSpec, seed: int) -> Split:
    sizes = np.bincount(arrays.train_labels, minlength=arrays.num_classes)
    if not sizes.all():
        raise SuiteError(f"dataset {spec.dataset}: class {int(sizes.argmin())} has no training image")
    split_seed = _split_seed(spec, seed)
    if spec.validation_per_class is not None:
        return held_out_split(arrays.train_labels, spec.clean_per_class, spec.validation_per_class, split_seed)
    return SPLITS[spec.split](arrays.train_labels, spec.clean_per_class, split_seed)


def _split_seed(spec: TaskSpec, seed: int) -> int:
    # The public code seeds numpy with the run's own seed: only so are its very images drawn.
    if spec.split == "released":
        return seed
    return derive_seed("split", spec.dataset, spec.split, spec.clean_per_class, seed)


def _assemble(arrays: Data, spec: TaskSpec, seed: int, split: Split, noisy_labels: Labels, matrix: Matrix) -> Task:
    true_labels = arrays.train_labels[split.noisy]
    return Task(
        **asdict(spec),
        seed=seed,
        warnings=warnings_of(spec, split, matrix),
        clean_indices=split.clean,
        clean_labels=arrays.train_labels[split.clean],
        validation_indices=split.validation,
        validation_labels=arrays.train_labels[split.validation],
        noisy_indices=split.noisy,
        noisy_labels=noisy_labels,
        true_labels=true_labels,
        matrix=matrix,
        confusion=confusion_counts(true_labels, noisy_labels, arrays.num_classes),
    )


def warnings_of(spec: TaskSpec, split: Split, matrix: Matrix) -> tuple[str, ...]:
    """Return what a reader of results should know of a task's noise and split; see :func:`make_task`."""
    warnings = []
    if not is_diagonally_dominant(matrix):
        warnings.append(
            f"noise {spec.kind} {spec.rate:g} is not diagonally dominant: for some class the true label is not the "
            "most probable one, which the paper assumes (section 3.1)"
        )
    shared = overlap_counts(split)["clean_in_noisy"]
    if shared:
        warnings.append(f"{shared} of {len(split.clean)} clean images are also in the noisy set (split {spec.split})")
    return tuple(warnings)
