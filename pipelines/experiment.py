"""One run, from its artefacts to the content of its record. Imported late: this is where torch comes in."""

import resource
import time
import traceback
from pathlib import Path
from typing import Any, NamedTuple

import torch

from emlc.data import Arrays, Dataset, open_dataset
from emlc.data.store import load_arrays
from emlc.engine.checkpoints import forget
from emlc.engine.contract import Training
from emlc.engine.history import History
from emlc.engine.keepers import Checkpoints
from emlc.engine.loop import select_epoch
from emlc.engine.run import Recipe, initial_network
from emlc.engine.run import run as train_recipe
from emlc.records.artefacts import file_digest, sha256_bytes
from emlc.records.errors import SuiteError
from emlc.records.record import COMPLETED, FAILED, scores
from emlc.tasks.draw import Task, load_task
from pipelines.machine.devices import device_name, open_device, versions
from pipelines.machine.interrupts import Keep
from pipelines.profile.settings import (
    ROOT,
    SIMCLR,
    Run,
    Settings,
    checkpoint_minutes,
    dataset_options,
    method_settings,
    run_spec,
    split_of,
    task_spec,
)

FAILURES = (SuiteError, RuntimeError, ValueError, ArithmeticError, MemoryError)
"""What a diverged run, a bad hyper-parameter or a full memory raises inside the training."""


class Opened(NamedTuple):
    """A run before it begins: its spec, and what it is made of, each held against the others.

    Attributes
    ----------
    spec : dict
        :func:`pipelines.profile.settings.run_spec`.
    dataset : Dataset
    arrays : Arrays
    checksum : str
        SHA-256 of the arrays.
    task : Task
    recipe : Recipe
    """

    spec: dict[str, Any]
    dataset: Dataset
    arrays: Arrays
    checksum: str
    task: Task
    recipe: Recipe


def opened(settings: Settings, run: Run, data: Path, task_file: Path, pretrained: Path | None = None) -> Opened:
    """Read what a run is made of.

    Raises
    ------
    SuiteError
        If the profile, the data, the task or the pretrained encoder cannot be trusted, the task is another run's, or
        there is an encoder too much or too few.
    """
    spec = run_spec(settings, run)
    _check_start(spec["initialisation"], pretrained)
    arrays, checksum = load_arrays(data)
    task = load_task(task_file, expect_data_sha256=checksum)
    _check_task(task, settings, run, task_file)
    dataset = open_dataset(run.dataset, dataset_options(settings, run.dataset))
    recipe = build_recipe(spec, dataset, run.seed, pretrained)
    if pretrained is not None:
        # An encoder that does not fit is refused before the training, whose failures are findings.
        initial_network(recipe, arrays, "student")
    return Opened(spec, dataset, arrays, checksum, task, recipe)


def execute(
    settings: Settings,
    run: Run,
    data: Path,
    task_file: Path,
    pretrained: Path | None = None,
    keep: Keep | None = None,
) -> tuple[dict[str, Any], History]:
    """Train one run and return the content of its record and its history (empty if it failed while training).

    With `keep`, it goes on from the run's checkpoint if there is one.

    Raises
    ------
    Interrupted
        If the process was asked to stop.
    SuiteError
        As :func:`opened` does.
    """
    spec, dataset, arrays, checksum, task, recipe = opened(settings, run, data, task_file, pretrained)
    device = open_device(spec["device"], spec["threads"])
    content = {
        "run": {**run._asdict(), "label": method_settings(settings, run.method)["label"], "title": dataset.title},
        "config": spec,
        "task": _task_facts(task),
        "data": {"sha256": checksum, "released": dataset.released},
        "pretrained": None if pretrained is None else {"sha256": file_digest(pretrained, "sha256")},
        "versions": versions(),
        "device": device_name(device),
    }
    started = time.perf_counter()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    try:
        keeper = None if keep is None else _checkpoints(keep, content, settings)
        history = train_recipe(recipe, task, arrays, device, keeper)
    except FAILURES as error:
        if not isinstance(error, SuiteError):
            traceback.print_exc()
        if keep is not None:
            forget(keep.path)
        return {**content, "status": FAILED, "error": _one_line(error)}, History()
    return {**content, **_results(history), "timing": _timing(history, started, device)}, history


def _checkpoints(keep: Keep, content: dict[str, Any], settings: Settings) -> Checkpoints:
    """Return the keeper of a run: another configuration, data, software or source code makes it another run."""
    identity = {**content, "sources": _source_digest()}
    return Checkpoints(keep.path, identity, checkpoint_minutes(settings), keep.stopped)


def _source_digest() -> str:
    """Return the SHA-256 over all code that may take part in a training."""
    files = sorted(path for package in ("emlc", "baselines") for path in (ROOT / package).rglob("*.py"))
    return sha256_bytes(*(path.read_bytes() for path in (*files, Path(__file__))))


def _check_task(task: Task, settings: Settings, run: Run, path: Path) -> None:
    """Refuse a task that is not the one this run is asked to train on."""
    split = split_of(settings, run.method)
    asked = {**task_spec(settings, run.dataset, run.noise, run.rate, split), "seed": run.seed}
    asked["kind"] = asked.pop("noise")
    for name, value in asked.items():
        if getattr(task, name) != value:
            raise SuiteError(f"{path} is a task of {name} {getattr(task, name)}, the run is of {name} {value}")


def _check_start(initialisation: str, pretrained: Path | None) -> None:
    if initialisation == SIMCLR and pretrained is None:
        raise SuiteError("the run starts from SimCLR: give its encoder as --pretrained (pipelines.pretrain makes it)")
    if initialisation != SIMCLR and pretrained is not None:
        raise SuiteError(f"the run starts from {initialisation}: leave out --pretrained {pretrained}")


def build_recipe(spec: dict[str, Any], dataset: Dataset, seed: int, pretrained: Path | None = None) -> Recipe:
    """Return the recipe of a run from its spec (:func:`pipelines.profile.settings.run_spec`)."""
    training = {**spec["training"], "milestones": tuple(spec["training"].get("milestones", ()))}
    return Recipe(
        implementation=spec["implementation"],
        options=spec["options"],
        training=Training(**training),
        model=spec["model"],
        order=spec["order"],
        crop_padding=spec["crop_padding"],
        padding=spec["padding"],
        auto_augment=spec["auto_augment"],
        flips=dataset.flips,
        mean=dataset.mean,
        std=dataset.std,
        seed=seed,
        pretrained=pretrained,
    )


def _results(history: History) -> dict[str, Any]:
    selected = select_epoch(history.epochs)
    return {
        "status": COMPLETED,
        "selected_epoch": selected,
        "test_accuracy": scores(history.epochs, selected),
        "epochs": history.epochs,
    }


def _timing(history: History, started: float, device: torch.device) -> dict[str, Any]:
    on_gpu = device.type == "cuda"
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds_per_epoch": [round(seconds, 6) for seconds in history.seconds],
        "total_seconds": round(history.spent + time.perf_counter() - started, 6),
        "resumed": history.resumed,
        "peak_memory_bytes": torch.cuda.max_memory_allocated(device) if on_gpu else kilobytes * 1024,
    }


def _task_facts(task: Task) -> dict[str, Any]:
    return {
        "sha256": task.sha256,
        "effective_rate": task.effective_rate,
        "clean": len(task.clean_labels),
        "noisy": len(task.noisy_labels),
        "warnings": list(task.warnings),
    }


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]
