"""Tasks of datasets that bring their noise and their split along: real-world noise, with nothing left to draw."""

from dataclasses import asdict

import numpy as np

from emlc.data.listing import Listing
from emlc.noise.matrices import matrix_of_counts
from emlc.records.errors import SuiteError
from emlc.tasks.draw import warnings_of
from emlc.tasks.splits import LISTED
from emlc.tasks.task import GIVEN, Task, TaskSpec

REAL = "real"
"""The noise kind of labels as they were found."""

TOLERANCE = 0.005
"""Of a spec's rate: how wrong found labels are is known of a part of them, and printed to two digits."""


def make_task_from_listing(listing: Listing, spec: TaskSpec, seed: int) -> Task:
    """Make the task of a listing; all seeds have the same images and labels.

    Parameters
    ----------
    listing : Listing
        With a split.
    spec : TaskSpec
        Of kind ``real``, sampling ``given``, split ``listed``; its rate is the share of wrong labels among the images
        that bear both kinds, within :data:`TOLERANCE`.
    seed : int
        At least 0.

    Returns
    -------
    Task
        Without true labels of the noisy set; its matrix and confusion are those of the images that bear both kinds.

    Raises
    ------
    SuiteError
        If the listing has no split, the spec is another's, or the rate another.
    """
    if listing.split is None:
        raise SuiteError(f"dataset {spec.dataset} brings no split along; its tasks are drawn")
    if (spec.kind, spec.sampling, spec.split) != (REAL, GIVEN, LISTED):
        found = f"{spec.kind!r}, {spec.sampling}, {spec.split}"
        raise SuiteError(f"dataset {spec.dataset} has noise {REAL!r}, sampling {GIVEN}, split {LISTED}; not {found}")
    rate = float(1 - np.trace(listing.confusion) / listing.confusion.sum())
    if abs(spec.rate - rate) > TOLERANCE:
        raise SuiteError(
            f"noise {REAL} of {spec.dataset} has rate {rate:.4f}, not {spec.rate}; correct the column's rate"
        )
    split, labels = listing.split, listing.train_labels
    matrix = matrix_of_counts(listing.confusion)
    return Task(
        **asdict(spec),
        seed=seed,
        warnings=(*warnings_of(spec, split, matrix), *listing.notes),
        clean_indices=split.clean,
        clean_labels=labels[split.clean],
        validation_indices=split.validation,
        validation_labels=labels[split.validation],
        noisy_indices=split.noisy,
        noisy_labels=labels[split.noisy],
        true_labels=np.empty(0, np.int64),
        matrix=matrix,
        confusion=listing.confusion,
    )
