"""A tiny profile from data to table, one process a step, repaired after a disaster as Snakemake does it."""

import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from emlc.records.record import read_record
from emlc.records.store import Order, sound
from pipelines.profile.load import checked
from pipelines.train import runs_of
from pipelines.workflow.jobs import Jobs
from tests.chaos.children import Condition, killed, start, status, undisturbed
from tests.stores import put_data, run_at, write_order
from tests.tiny import OPTIONS, TRAINING, tiny_arrays, tiny_profile

METHODS = {
    "cross-entropy": {"label": "Cross-Entropy", "implementation": "baselines.cross_entropy"},
    "mlnt": {
        "label": "MLNT",
        "implementation": "baselines.mlnt",
        "options": OPTIONS["baselines.mlnt"][""],
    },
    "mslc": {"label": "MSLC", "implementation": "baselines.mslc", "options": OPTIONS["baselines.mslc"][""]},
    "emlc-k5": {"label": "EMLC (k=5)", "implementation": "emlc.method", "options": {"look_ahead": 5}},
}
SEEDS = [0, 1]


class Step(NamedTuple):
    """One job of the workflow."""

    module: str
    order: Order

    @property
    def argv(self) -> list[str]:
        """Its command line."""
        return [str(write_order(self.order))]


class Tally:
    """What all scenarios of this process together have seen."""

    def __init__(self) -> None:
        self.kills = self.lost = self.differing = self.tables = self.refused = self.mutants = 0

    def counts(self) -> dict[str, int]:
        """So far."""
        return dict(vars(self))


TALLY = Tally()


class Place:
    """A folder with a profile, its data, its results and a log."""

    def __init__(self, folder: Path, **changes: object) -> None:
        self.folder, self.log = folder, folder / "log"
        folder.mkdir(parents=True, exist_ok=True)
        training = {**TRAINING, "epochs": 4}
        facts = {"methods": METHODS, "seeds": SEEDS, "seeds_per_job": len(SEEDS), "training": training}
        facts |= {"checkpoint_minutes": 5e-4, **changes}
        self.jobs = Jobs(checked(tiny_profile(**facts)), folder / "results")
        put_data(self.jobs, tiny_arrays())
        (self.table_order,) = (job.order for job in self.jobs.by_kind["tables"].values())
        self.data = self.jobs.steps.data("digits").folder / "arrays.npz"
        self.kept = folder / "results" / "checkpoints"

    @property
    def table(self) -> Path:
        """The table."""
        return self.table_order.folder / "table1.csv"

    def task(self, seed: int) -> Path:
        """A seed's task."""
        return self.inject(seed).order.folder / "task.npz"

    def run(self, method: str, seed: int) -> Order:
        """A run."""
        return run_at(self.jobs, method, seed)

    def record(self, method: str, seed: int) -> Path:
        """A run's record."""
        return self.run(method, seed).folder / "record.json"

    def inject(self, seed: int) -> Step:
        """The step that makes a task."""
        column = next(iter(self.jobs.profile.columns()))
        return Step("pipelines.inject", self.jobs.steps.task(column, seed))

    def train(self, method: str) -> Step:
        """The step that trains a method on all seeds."""
        return Step("pipelines.train", self.jobs.cells.by_run[self.run(method, SEEDS[0]).id])

    def tabulate(self) -> Step:
        """The step that makes the table."""
        return Step("pipelines.table", self.table_order)

    def steps(self) -> Iterator[Step]:
        """Every step, in order."""
        yield from (self.inject(seed) for seed in SEEDS)
        yield from (self.train(method) for method in self.jobs.profile.methods)
        yield self.tabulate()

    def do(self, step: Step, condition: Condition = undisturbed) -> int:
        """Run a step to its end and return its exit status."""
        return status(start(step.module, step.argv, self.log, condition))

    def is_made(self, step: Step) -> bool:
        """Whether a workflow would not run a step: what it makes is sound, a cell's runs among it."""
        inner = runs_of(step.order) if step.order.kind == "cells" else []
        return all(map(sound, (step.order, *inner)))

    def repair(self, step: Step) -> None:
        """Run a step that is due."""
        if not self.is_made(step):
            assert self.do(step) == 0, self.log.read_text()

    def finish(self) -> bytes:
        """Run what is left and return the table."""
        for step in self.steps():
            self.repair(step)
        return self.table.read_bytes()

    def told(self) -> str:
        """What all steps have printed."""
        return self.log.read_text() if self.log.exists() else ""

    def records(self) -> list[Path]:
        """Every record."""
        return sorted((self.folder / "results" / "runs").glob("[0-9a-f]*/record.json"))

    def fingerprints(self) -> dict[str, str]:
        """Of every run."""
        return {path.parent.name: read_record(path)["fingerprint"] for path in self.records()}


def kill_often(place: Place, step: Step, coin: random.Random, times: int, longest: float) -> None:
    """Kill a step at random moments up to so many times, then repair it; a run that was done must not be done again."""
    for _ in range(times):
        if place.is_made(step):
            break
        done = {path: path.read_bytes() for path in place.records()}
        TALLY.kills += killed(start(step.module, step.argv, place.log), coin, longest)
        TALLY.lost += sum(not path.exists() or path.read_bytes() != content for path, content in done.items())
    place.repair(step)


def duration(place: Place, step: Step) -> float:
    """Seconds that a step takes, what it makes removed again."""
    started = time.monotonic()
    assert place.do(step) == 0, place.told()
    taken = time.monotonic() - started
    for order in (step.order, *runs_of(step.order)):
        shutil.rmtree(order.folder)
    shutil.rmtree(place.kept, ignore_errors=True)
    return taken
