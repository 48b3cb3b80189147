"""Train the runs of one cell, one after the other, and write each run's record and histories into the store."""

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from emlc.records.artefacts import write_text
from emlc.records.errors import ProcessLost, SuiteError
from emlc.records.record import FAILED, files_digests, write_record
from emlc.records.store import Order, filling, sound, touch
from pipelines.machine.cli import run
from pipelines.machine.devices import use_reproducible_kernels
from pipelines.machine.interrupts import Keep, StopRequest, stoppable
from pipelines.machine.torchrun import rank, started
from pipelines.machine.work import order_of
from pipelines.training.together import joined

HISTORIES = ("history.csv", "steps.csv")
LOST = 1
"""Exit status of a process whose training another one has left."""


def main(argv: Sequence[str]) -> int:
    """Run the step. A run that fails while training gets a record that says so, and the others go on.

    What is wrong with one seed's task does not cost the other seeds their runs: it is told when these are done. SIGTERM
    and SIGINT end it after the training step at hand, with a checkpoint and status 128 + signal.

    Several processes that torchrun has started share each training (:mod:`emlc.engine.distributed`); the first writes.
    """
    order = order_of("pipelines.train", __doc__, "cells", argv)
    use_reproducible_kernels()
    try:
        with joined(order.identity["runs"][0]["device"]):
            return stoppable(partial(train_cell, order))
    except ProcessLost:
        print(f"process {rank()}: another one has ended; the next start goes on from the checkpoint", file=sys.stderr)
        return LOST


def train_cell(order: Order, stopped: StopRequest) -> int:
    """Train those runs of a cell that are not in the store.

    Raises
    ------
    SuiteError
        If a run could not begin; the others are done then.
    """
    refused = []
    for run_order in runs_of(order):
        try:
            if not sound(run_order):
                train_run(run_order, order.about["checkpoint_minutes"], stopped)
        except SuiteError as error:
            if started() > 1:  # the others may be in the middle of it
                raise
            refused.append(str(error))
    if refused:
        raise SuiteError("; ".join(dict.fromkeys(refused)))
    if rank() == 0:
        if not sound(order):
            with filling(order):
                pass
        touch(order)
    return 0


def runs_of(cell: Order) -> list[Order]:
    """Return the orders of a cell's runs."""
    pairs = zip(cell.identity["runs"], cell.about["runs"], strict=True)
    return [Order("runs", identity, about, cell.results) for identity, about in pairs]


def train_run(order: Order, minutes: float, stopped: StopRequest) -> None:
    """Train one run and put its record and histories into the store."""
    from pipelines.training.runs import execute

    keep = Keep(order.results / "checkpoints" / f"{order.id}.pt", stopped)
    content, history = execute(order, keep, minutes)
    if rank() > 0:
        return
    if content["status"] == FAILED:
        print(f"run {order.folder} failed: {content['error']}", file=sys.stderr)
    with filling(order) as folder:
        write_text(folder / "history.csv", as_csv(history.epochs, ["epoch"]))
        write_text(folder / "steps.csv", as_csv(history.steps, ["step"]))
        write_record(folder / "record.json", {**content, "files": files_digests(folder, HISTORIES)})


def as_csv(rows: Sequence[Mapping[str, Any]], header: list[str]) -> str:
    """Return rows as CSV; a column for every key, empty where a row has it not."""
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row)) or header
    writer = csv.DictWriter(text, names, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


if __name__ == "__main__":
    run(main)
