"""A tiny profile with a store of its own: its data and tasks are there, its runs can be trained in this process."""

from pathlib import Path
from typing import Any

from emlc.data.base import Arrays
from emlc.data.store import save_arrays
from emlc.records.artefacts import write_json
from emlc.records.store import Order, filling
from pipelines.inject import make as make_task
from pipelines.profile.load import checked
from pipelines.train import train_cell
from pipelines.workflow.jobs import Jobs
from pipelines.workflow.runs import Run, table_runs
from tests.tiny import tiny_arrays, tiny_profile


def tiny_jobs(folder: Path, arrays: Arrays | None = None, **changes: Any) -> Jobs:
    """The jobs of :func:`tests.tiny.tiny_profile`, with the tiny images in place of the digits, and every task."""
    jobs = Jobs(checked(tiny_profile(**changes)), folder / "results")
    put_data(jobs, arrays or tiny_arrays())
    for order in jobs.by_kind["tasks"].values():
        order = order.order
        with filling(order) as part:
            make_task(order, part)
    return jobs


def put_data(jobs: Jobs, arrays: Arrays) -> None:
    """Put prepared arrays into the store under the digits' id."""
    with filling(jobs.steps.data("digits")) as part:
        save_arrays(part / "arrays.npz", arrays, "digits")


def train_all(jobs: Jobs) -> None:
    """Train every run of the profile's tables."""
    for name in jobs.profile.tables:
        for cell in jobs.cells.of(table_runs(jobs.profile, name)):
            train_cell(cell, lambda: False)


def run_at(jobs: Jobs, method: str, seed: int = 0) -> Order:
    """The order of a run in the profile's first column."""
    column = next(iter(jobs.profile.columns()))
    return jobs.steps.run(Run(method, column.dataset, column.noise, column.rate, seed))


def write_order(order: Order) -> Path:
    """Write an order's document and return its path, for command lines."""
    if not order.file.exists():
        write_json(order.file, order.document)
    return order.file
