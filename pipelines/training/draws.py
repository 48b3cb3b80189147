"""A task from what identifies it: the clean split and the noise of one seed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emlc.data.base import Arrays
from emlc.data.human import KINDS as HUMAN_KINDS
from emlc.data.human import load_human_labels
from emlc.data.listing import Listing
from emlc.noise.class_maps import read_class_map
from emlc.noise.matrix_file import MATRIX, read_matrix
from emlc.records.artefacts import file_digest
from emlc.records.errors import SuiteError
from emlc.records.store import Order
from emlc.tasks.draw import Task, TaskSpec, make_task, make_task_from_labels, make_task_from_matrix
from emlc.tasks.listed import REAL, make_task_from_listing
from pipelines.profile.places import ROOT

FACTS = ("dataset", "rate", "sampling", "split", "clean_per_class", "validation_per_class")


def draw_task(identity: Mapping[str, Any], arrays: Arrays | Listing, checksum: str, given: Path | None = None) -> Task:
    """Return a task.

    Parameters
    ----------
    identity : mapping
        Of an order for a task (:meth:`pipelines.workflow.steps.Steps.task`).
    arrays : Arrays or Listing
    checksum : str
        SHA-256 of `arrays`.
    given : Path, optional
        What the noise is read from (:func:`noise_file`).

    Raises
    ------
    SuiteError
        If the split or the noise is impossible, or what is given does not fit the images or the rate.
    """
    spec = TaskSpec(kind=identity["noise"], data_sha256=checksum, **{name: identity[name] for name in FACTS})
    if spec.kind == REAL and isinstance(arrays, Listing):
        return make_task_from_listing(arrays, spec, identity["seed"])
    if spec.kind in HUMAN_KINDS and given is not None:
        labels = load_human_labels(given).of(spec.kind, spec.rate, arrays.train_labels)
        return make_task_from_labels(arrays, spec, labels, identity["seed"])
    if spec.kind == MATRIX and given is not None:
        return make_task_from_matrix(arrays, spec, read_matrix(given), identity["seed"])
    pairs = identity["class_map"]
    return make_task(arrays, spec, None if pairs is None else read_class_map(dict(pairs)), identity["seed"])


def noise_file(order: Order) -> Path | None:
    """Return the file that a task's noise is read from; None for noise that is drawn from its kind and rate.

    Human labels (:mod:`pipelines.human`), or the user's own transition matrix.

    Raises
    ------
    SuiteError
        If human labels are not there, or the matrix is not the one that the order was written for.
    """
    labels, matrix = order.identity["labels"], order.identity["matrix"]
    if labels is not None:
        return order.beside("labels", labels) / "labels.npz"
    if matrix is None:
        return None
    path = ROOT / order.about["matrix"]
    if file_digest(path, "sha256") != matrix["sha256"]:
        raise SuiteError(f"{path} has changed since this task was ordered; start the workflow again")
    return path
