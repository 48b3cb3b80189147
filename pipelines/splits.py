"""Audit the splits: which images the clean, noisy and validation sets share, and how many labels are really wrong.

Both protocols are drawn for every data set, noise and seed of a profile: the paper's split, and the public code's three
draws that overlap (:mod:`emlc.tasks.splits`).
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from emlc.judging.cells import noise_name
from emlc.noise.matrices import expected_wrong_rate
from emlc.records.artefacts import write_text
from emlc.records.store import Order
from emlc.tasks.draw import Task, load_task
from emlc.tasks.splits import overlap_counts, released_split
from pipelines.machine.work import work

COLUMNS = (
    *("dataset", "noise_type", "noise_rate", "protocol", "seed", "clean", "validation", "noisy", "clean_in_noisy"),
    *("validation_in_noisy", "clean_in_validation", "clean_labels_used", "wrong_in_shared", "expected_rate"),
    "effective_rate",
)
PAPERS_CLASSES = {"CIFAR-10": (10, 5000, 100), "CIFAR-100": (100, 500, 10)}
"""The paper's data sets: classes, training images of each, clean images of each (section 4.1)."""

ABOUT = """\
*Shared* counts images of the clean (or validation) set that are in the noisy set too, where they carry a noisy label.
`clean labels` are all true labels used, to train and to select. `wrong of shared` is how many of the clean images that
are in the noisy set are wrongly labelled there. The expected share of wrong labels follows from the transition matrix:
under symmetric noise of rate r the new label may be the true one, so r (1 - 1/C) of the labels are wrong, not r.

Under `paper` the clean set also validates, as section 4.1 says, and shares nothing with the noisy set. Under `released`
the public code (MitchellKT/Enhanced-Meta-Label-Correction) draws each set anew from all images."""

SIZES = """\
## The paper's data, from its class sizes alone

How many images the released split's sets share depends on nothing but the class sizes and the seed, so it is known for
CIFAR-10 and CIFAR-100 without their images."""


def audit(order: Order) -> list[dict[str, Any]]:
    """Return one line per column, protocol and seed of a profile.

    Raises
    ------
    SuiteError
        If a task is missing or damaged.
    """
    return [_line(entry, _task(order, entry["task"])) for entry in order.identity["tasks"]]


def _task(order: Order, identifier: str) -> Task:
    return load_task(order.beside("tasks", identifier) / "task.npz")


def _line(entry: Mapping[str, Any], task: Task) -> dict[str, Any]:
    axes = {"dataset": entry["dataset"], "noise_type": entry["noise"], "noise_rate": entry["rate"]}
    which = {"protocol": entry["protocol"], "seed": entry["seed"]}
    # The task of a column with given labels shows its split alone (pipelines.workflow.pages).
    return {**axes, **which, **_counts(task), **(_rates(task) if entry["drawn"] else {})}


def papers_data(seeds: Sequence[int], known: Sequence[str]) -> list[dict[str, Any]]:
    """Return one line per seed and data set of the paper that is not among the `known` ones, from its class sizes."""
    return [
        {"dataset": title, "protocol": "released", "seed": seed, **_counts_of_sizes(*sizes, seed)}
        for title, sizes in PAPERS_CLASSES.items()
        if title not in known
        for seed in seeds
    ]


def _counts_of_sizes(classes: int, images: int, per_class: int, seed: int) -> dict[str, int]:
    split = released_split(np.repeat(np.arange(classes), images), per_class, seed)
    sizes = {name: len(getattr(split, name)) for name in ("clean", "validation", "noisy")}
    return {**sizes, **overlap_counts(split)}


def _counts(task: Task) -> dict[str, int]:
    sets = {"clean": task.clean_indices, "validation": task.validation_indices, "noisy": task.noisy_indices}
    return {**{name: len(indices) for name, indices in sets.items()}, **overlap_counts(task.sets)}


def _rates(task: Task) -> dict[str, Any]:
    wrong = task.noisy_labels != task.true_labels
    shared = np.isin(task.noisy_indices, task.clean_indices)
    return {
        "wrong_in_shared": int(wrong[shared].sum()),
        "expected_rate": round(expected_wrong_rate(task.matrix, task.true_labels), 4),
        "effective_rate": round(task.effective_rate, 4),
    }


def as_csv(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return the audit as CSV; what does not apply is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def as_markdown(lines: Sequence[Mapping[str, Any]]) -> str:
    """Return the audit as a page: one row per column and protocol, ranges over seeds."""
    drawn, sizes = ([line for line in lines if ("noise_type" in line) == has] for has in (True, False))
    parts = ["# The splits", ABOUT, "## The profile's data", _table(drawn)]
    return "\n\n".join([*parts, *([SIZES, _table(sizes)] if sizes else [])]) + "\n"


def _table(lines: Sequence[Mapping[str, Any]]) -> str:
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for line in lines:
        groups.setdefault(tuple(line.get(key) for key in COLUMNS[:4]), []).append(line)
    rows = [dict(_cells(group)) for group in groups.values()]
    return tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True)


def _cells(group: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    first = group[0]
    yield "Data set", first["dataset"]
    if "noise_type" in first:
        yield "Noise", noise_name(first["noise_type"], first["noise_rate"])
    yield "Protocol", first["protocol"]
    yield "Seeds", str(len(group))
    yield "Clean / validation / noisy", " / ".join(_range(group, name) for name in ("clean", "validation", "noisy"))
    yield "Clean, shared", _range(group, "clean_in_noisy")
    yield "Validation, shared", _range(group, "validation_in_noisy")
    yield "Clean in validation", _range(group, "clean_in_validation")
    yield "Clean labels", _range(group, "clean_labels_used")
    if "noise_type" in first:  # tables need the same columns in every row
        yield "Wrong of shared", _range(group, "wrong_in_shared")
        yield "Wrong labels, expected", _range(group, "expected_rate")
        yield "Wrong labels, drawn", _range(group, "effective_rate")


def _range(group: Sequence[Mapping[str, Any]], name: str) -> str:
    values = [line[name] for line in group if name in line]
    if not values:
        return "not known"
    low, high = ((f"{100 * v:.1f} %" if name.endswith("rate") else f"{v:,}") for v in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def make(order: Order, folder: Path) -> None:
    """Make the audit of the splits."""
    lines = audit(order)
    lines += papers_data(order.identity["seeds"], [line["dataset"] for line in lines])
    write_text(folder / "splits.csv", as_csv(lines))
    write_text(folder / "splits.md", as_markdown(lines))


if __name__ == "__main__":
    work("pipelines.splits", __doc__, "splits", make)
