"""The task: one dataset, one split and one noise draw for one seed. Every method of a comparison trains on the same."""

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from emlc.data.base import Arrays
from emlc.noise.class_maps import GivenMap, numbered
from emlc.noise.matrices import (
    KINDS,
    SAMPLERS,
    Labels,
    Matrix,
    checked_labels,
    is_diagonally_dominant,
    replacement_matrix,
    soften,
)
from emlc.records.bundles import read_bundle, write_bundle
from emlc.records.errors import SuiteError
from emlc.tasks.seeds import derive_seed
from emlc.tasks.splits import SPLITS, Split, overlap_counts
from emlc.tasks.task import ARRAYS, GIVEN, SCHEMA, Task, TaskSpec, confusion_counts

__all__ = ["GIVEN", "Task", "TaskSpec", "load_task", "make_task", "make_task_from_labels", "save_task"]


def make_task(arrays: Arrays, spec: TaskSpec, class_map: GivenMap | None, seed: int) -> Task:
    """Draw the split and the noise of a task.

    The split depends on the dataset, the split's name and size and the seed, so all noise levels of a seed share it.
    The noise depends on the dataset, its kind, rate and sampling and the seed.

    Parameters
    ----------
    arrays : Arrays
    spec : TaskSpec
    class_map : mapping of (int or str) to tuple of (int or str), or None
        For ``asym`` noise, see :func:`emlc.noise.matrices.transition_matrix`; by number or name.
    seed : int
        At least 0.

    Returns
    -------
    Task
        With a warning if the noise breaks the paper's assumption that the true label is the most probable one of every
        class (section 3.1), or if the split's clean and noisy sets meet.

    Raises
    ------
    SuiteError
        If the noise or the split is impossible, see :mod:`emlc.noise.matrices` and :mod:`emlc.tasks.splits`.
    """
    if spec.sampling not in SAMPLERS:
        raise SuiteError(f"noise cannot be drawn by sampling {spec.sampling!r}; known: {', '.join(SAMPLERS)}")
    by_number = None if class_map is None else numbered(class_map, arrays.class_names)
    replacement = replacement_matrix(spec.kind, arrays.num_classes, by_number)
    matrix = soften(replacement, spec.rate)
    split = _draw_split(arrays, spec, seed)
    true_labels = arrays.train_labels[split.noisy]
    noise_seed = derive_seed("noise", spec.dataset, spec.kind, spec.rate, spec.sampling, seed)
    noisy_labels = SAMPLERS[spec.sampling](true_labels, replacement, spec.rate, noise_seed)
    return _assemble(arrays, spec, seed, split, noisy_labels, matrix)


def make_task_from_labels(arrays: Arrays, spec: TaskSpec, labels: ArrayLike, seed: int) -> Task:
    """Make a task from given noisy labels, such as CIFAR-N's human ones (Wei et al., ICLR 2022).

    Parameters
    ----------
    arrays : Arrays
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
    if spec.kind in KINDS:
        raise SuiteError(f"noise kind {spec.kind!r} is drawn; given labels need a name of their own, e.g. human-aggre")
    if spec.sampling != GIVEN:
        raise SuiteError(f"given labels cannot have sampling {spec.sampling!r}; say {GIVEN!r}")
    labels = checked_labels(labels, arrays.num_classes)
    if len(labels) != len(arrays.train_labels):
        raise SuiteError(f"{len(labels)} labels given for {len(arrays.train_labels)} training images")
    split = _draw_split(arrays, spec, seed)
    counts = confusion_counts(arrays.train_labels, labels, arrays.num_classes)
    matrix = counts / counts.sum(axis=1, keepdims=True)
    return _assemble(arrays, spec, seed, split, labels[split.noisy], matrix)


def save_task(task: Task, path: Path) -> None:
    """Write a task to one ``.npz`` file, atomically; the same task always gives the same bytes.

    ``numpy.load(path)`` gives its arrays by name; its member ``meta.json`` holds the rest, the effective rate and the
    sha256 among it.

    Raises
    ------
    SuiteError
        If the file cannot be written.
    """
    write_bundle(path, _meta(task), {name: getattr(task, name).astype(dtype) for name, dtype in ARRAYS.items()})


def load_task(path: Path, expect_data_sha256: str | None = None) -> Task:
    """Read a task and check all of it.

    Parameters
    ----------
    path : Path
        Written by :func:`save_task`.
    expect_data_sha256 : str, optional
        Checksum of the data at hand; a task made from other data is refused.

    Raises
    ------
    SuiteError
        If the file is missing, damaged, edited, something else, of another schema, or made from other data.
    """
    meta, arrays = read_bundle(path, ARRAYS)
    try:
        task = _task_of(meta, arrays)
    except SuiteError as error:
        raise SuiteError(f"cannot use {path}: {error}; delete it and run again") from error
    if expect_data_sha256 is not None and task.data_sha256 != expect_data_sha256:
        raise SuiteError(
            f"cannot use {path}: it was made from data {task.data_sha256}, the data at hand is {expect_data_sha256}; "
            "delete it and run again"
        )
    return task


def _draw_split(arrays: Arrays, spec: TaskSpec, seed: int) -> Split:
    sizes = np.bincount(arrays.train_labels, minlength=arrays.num_classes)
    if not sizes.all():
        raise SuiteError(f"dataset {spec.dataset}: class {int(sizes.argmin())} has no training image")
    return SPLITS[spec.split](arrays.train_labels, spec.clean_per_class, _split_seed(spec, seed))


def _split_seed(spec: TaskSpec, seed: int) -> int:
    # The public code seeds numpy with the run's own seed: only so are its very images drawn.
    if spec.split == "released":
        return seed
    return derive_seed("split", spec.dataset, spec.split, spec.clean_per_class, seed)


def _assemble(arrays: Arrays, spec: TaskSpec, seed: int, split: Split, noisy_labels: Labels, matrix: Matrix) -> Task:
    true_labels = arrays.train_labels[split.noisy]
    return Task(
        **asdict(spec),
        seed=seed,
        warnings=_warnings(spec, split, matrix),
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


def _warnings(spec: TaskSpec, split: Split, matrix: Matrix) -> tuple[str, ...]:
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


def _meta(task: Task) -> dict[str, Any]:
    return {**task.facts, "sha256": task.sha256}


def _task_of(meta: Any, arrays: dict[str, Any]) -> Task:
    if not isinstance(meta, dict) or meta.get("schema") != SCHEMA:
        raise SuiteError(f"it is not a task of schema {SCHEMA}")
    names = {field.name for field in fields(Task)} - set(ARRAYS)
    if not names <= set(meta) or not isinstance(meta["warnings"], list):
        raise SuiteError(f"its meta.json does not fit schema {SCHEMA}")
    values = {name: meta[name] for name in names}
    task = Task(**{**values, "warnings": tuple(meta["warnings"])}, **arrays)
    if _meta(task) != meta:
        raise SuiteError("content and sha256 do not agree, so it was edited or damaged")
    return task
