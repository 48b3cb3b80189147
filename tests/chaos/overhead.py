"""How much longer whole runs take with checkpoints: pairs of runs in turn, medians (python -m tests.chaos.overhead)."""

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from emlc.records.store import Order
from pipelines import fetch, inject, prepare, train
from pipelines.machine.work import fulfil
from pipelines.profile.load import load_profile
from pipelines.profile.places import ROOT
from pipelines.workflow.jobs import Jobs
from pipelines.workflow.runs import Run

PAIRS = 7
NEVER = 1e6
"""Minutes from one checkpoint to the next, and no time for those after epochs."""


def seconds(order: Order, minutes: float) -> float:
    """Wall time of one training, from its order to its record; loading PyTorch is not part of it."""
    shutil.rmtree(order.folder, ignore_errors=True)
    started = time.perf_counter()
    train.train_run(order, minutes, lambda: False)
    return time.perf_counter() - started


def ratios(order: Order) -> list[float]:
    """Time with checkpoints by time without, of runs in turn, after one of each that does not count."""
    from emlc.engine import checkpoints

    pairs, share = [], checkpoints.SHARE
    for _ in range(PAIRS + 1):
        shutil.rmtree(order.results / "checkpoints", ignore_errors=True)
        with_checkpoints = seconds(order, 10)
        checkpoints.SHARE = 1e-12
        pairs.append(with_checkpoints / seconds(order, NEVER))
        checkpoints.SHARE = share
    return pairs[1:]


def main(methods: list[str]) -> None:
    """Print the median ratio of each method of the default profile, and of all."""
    found: list[float] = []
    profile = load_profile()
    with tempfile.TemporaryDirectory() as name:
        steps = Jobs(profile, Path(name) / "results").steps
        fetch.main([str(ROOT / "data.dvc")])
        fulfil(steps.data("digits"), prepare.make)
        for method in methods or list(profile.methods):
            run = Run(method, "digits", "sym", 0.5, 0)
            fulfil(steps.task_of(run), inject.make)
            measured = ratios(steps.run(run))
            found += measured
            print(f"{method}: {statistics.median(measured):.3f} ({min(measured):.3f} to {max(measured):.3f})")
    print(f"all: {statistics.median(found):.3f}, n = {len(found)} pairs")


if __name__ == "__main__":
    main(sys.argv[1:])
