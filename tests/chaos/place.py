"""A tiny profile from data to table, one process a step, repaired after a disaster as Snakemake does it."""

import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from emlc.records.record import read_record
from tests.chaos.children import Condition, killed, start, status, undisturbed
from tests.tiny import OPTIONS, TRAINING, tiny_profile, write_data, write_yaml

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
COLUMN = "digits/sym-0.5"


class Step(NamedTuple):
    """One job of the workflow."""

    module: str
    argv: list[str]
    outputs: list[Path]


class Tally:
    """What all scenarios together have seen."""

    def __init__(self) -> None:
        self.kills = self.lost = self.differing = self.tables = self.refused = self.mutants = 0
        self.scenarios: set[str] = set()


TALLY = Tally()


class Place:
    """A folder with a profile, its data, its results and a log."""

    def __init__(self, folder: Path, **changes: object) -> None:
        self.folder, self.log = folder, folder / "log"
        folder.mkdir(parents=True, exist_ok=True)
        training = {**TRAINING, "epochs": 4}
        facts = {"methods": METHODS, "seeds": SEEDS, "training": training, "checkpoint_minutes": 5e-4}
        self.profile = write_yaml(folder / "profile.yaml", tiny_profile(**{**facts, **changes}))
        self.data = write_data(folder / "data.npz")
        self.table, self.runs, self.kept = folder / "table.csv", folder / "runs", folder / "checkpoints"

    def task(self, seed: int) -> Path:
        """A seed's task."""
        return self.folder / "tasks" / f"seed{seed}.npz"

    def record(self, method: str, seed: int) -> Path:
        """A run's record."""
        return self.runs / COLUMN / method / f"seed{seed}" / "record.json"

    def _common(self) -> list[str]:
        return ["--config", str(self.profile)]

    def inject(self, seed: int) -> Step:
        """The step that makes a task."""
        axes = ["--dataset", "digits", "--noise", "sym", "--rate", "0.5", "--seed", str(seed)]
        paths = ["--data", str(self.data), "--out", str(self.task(seed))]
        return Step("pipelines.inject", [*self._common(), *axes, *paths], [self.task(seed)])

    def train(self, method: str) -> Step:
        """The step that trains a method on all seeds."""
        records = [self.record(method, seed) for seed in SEEDS]
        axes = [
            "--method",
            method,
            "--dataset",
            "digits",
            "--noise",
            "sym",
            "--rate",
            "0.5",
            "--seed",
            *map(str, SEEDS),
        ]
        paths = ["--data", str(self.data), "--task", *(str(self.task(seed)) for seed in SEEDS)]
        out = ["--out", *(str(record.parent) for record in records), "--checkpoints", str(self.kept), "--keep-going"]
        return Step("pipelines.train", [*self._common(), *axes, *paths, *out], records)

    def aggregate(self) -> Step:
        """The step that makes the table."""
        outputs = [self.folder / f"table.{kind}" for kind in ("csv", "json", "metrics")]
        options = [f"--{path.suffix[1:]}={path}" for path in outputs]
        return Step("pipelines.aggregate", [*self._common(), "--runs", str(self.runs), *options], outputs)

    def steps(self) -> Iterator[Step]:
        """Every step, in order."""
        yield from (self.inject(seed) for seed in SEEDS)
        yield from (self.train(method) for method in METHODS)
        yield self.aggregate()

    def do(self, step: Step, condition: Condition = undisturbed) -> int:
        """Run a step to its end and return its exit status."""
        return status(start(step.module, step.argv, self.log, condition))

    def is_made(self, step: Step) -> bool:
        """Whether nothing is missing of what a step makes."""
        return all(path.exists() for path in step.outputs)

    def clear(self, step: Step) -> set[Path]:
        """Delete what a step has made so far and return what that was."""
        made = {path for path in step.outputs if path.exists()}
        for path in made:
            path.unlink()
        return made

    def repair(self, step: Step) -> None:
        """Run a step whose outputs are not all there, as Snakemake would: from scratch, as far as it can see."""
        if self.is_made(step):
            return
        self.clear(step)
        assert self.do(step) == 0, self.log.read_text()

    def finish(self) -> bytes:
        """Run what is left and return the table."""
        for step in self.steps():
            self.repair(step)
        return self.table.read_bytes()

    def told(self) -> str:
        """What all steps have printed."""
        return self.log.read_text() if self.log.exists() else ""

    def fingerprints(self) -> dict[str, str]:
        """Of every run."""
        records = sorted(self.runs.rglob("record.json"))
        return {str(path.relative_to(self.runs)): read_record(path)["fingerprint"] for path in records}


def kill_often(place: Place, step: Step, coin: random.Random, times: int, longest: float) -> None:
    """Kill a step at random moments up to so many times, then repair it; a run that was done must not be done again."""
    done: set[Path] = set()
    for _ in range(times):
        if place.is_made(step):
            break
        done |= place.clear(step)
        TALLY.kills += killed(start(step.module, step.argv, place.log), coin, longest)
    if not place.is_made(step):
        done |= place.clear(step)
        place.repair(step)
    TALLY.lost += sum(read_record(path)["timing"]["resumed"] == 0 for path in done if path.name == "record.json")


def duration(place: Place, step: Step) -> float:
    """Seconds that a step takes, its outputs removed again."""
    started = time.monotonic()
    assert place.do(step) == 0, place.told()
    taken = time.monotonic() - started
    place.clear(step)
    shutil.rmtree(place.kept, ignore_errors=True)
    return taken
