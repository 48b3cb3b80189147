"""A task from what identifies it: the clean split and the noise of one seed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emlc.data.base import Arrays
from emlc.data.human import KINDS as HUMAN_KINDS
from emlc.data.human import load_human_labels
from emlc.noise.class_maps import read_class_map
from emlc.tasks.draw import Task, TaskSpec, make_task, make_task_from_labels


def draw_task(identity: Mapping[str, Any], arrays: Arrays, checksum: str, human: Path | None = None) -> Task:
    """Return a task.

    Parameters
    ----------
    identity : mapping
        Of an order for a task (:meth:`pipelines.workflow.steps.Steps.task`).
    arrays : Arrays
    checksum : str
        SHA-256 of `arrays`.
    human : Path, optional
        The dataset's human labels (:mod:`pipelines.human`), for noise that is one of them.

    Raises
    ------
    SuiteError
        If the split or the noise is impossible, or human labels are of other images or of another rate.
    """
    names = ("dataset", "rate", "sampling", "split", "clean_per_class")
    spec = TaskSpec(kind=identity["noise"], data_sha256=checksum, **{name: identity[name] for name in names})
    if spec.kind in HUMAN_KINDS and human is not None:
        labels = load_human_labels(human).of(spec.kind, spec.rate, arrays.train_labels)
        return make_task_from_labels(arrays, spec, labels, identity["seed"])
    pairs = identity["class_map"]
    return make_task(arrays, spec, None if pairs is None else read_class_map(dict(pairs)), identity["seed"])
