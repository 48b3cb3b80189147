"""One run, from its order to the content of its record. Imported late: this is where torch comes in."""

import resource
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from emlc.data.listing import Listing
from emlc.data.prepared import load_prepared
from emlc.data.streaming.photographs import Photographs
from emlc.data.streaming.preprocessing import preprocessing
from emlc.engine.checkpoints import forget
from emlc.engine.contract import Training
from emlc.engine.distributed import check_processes
from emlc.engine.history import History
from emlc.engine.keepers import Checkpoints
from emlc.engine.loop import select_epoch
from emlc.engine.run import Data, Recipe, initial_network
from emlc.engine.run import run as train_recipe
from emlc.models import processes
from emlc.records.artefacts import file_digest
from emlc.records.errors import DivergenceError, SuiteError
from emlc.records.record import COMPLETED, FAILED, scores
from emlc.records.store import Order
from emlc.tasks.draw import Task, load_task
from pipelines.machine.devices import device_name, open_device, versions
from pipelines.machine.interrupts import Keep
from pipelines.profile.places import ROOT
from pipelines.training.pictures import on_disk

FAILURES = (SuiteError, RuntimeError, ValueError, ArithmeticError, MemoryError)
"""What a diverged run, a bad hyper-parameter or a full memory raises inside the training."""

AGREED = (DivergenceError,)
"""What all processes of a training find at once; anything else may be one's alone, and ends them."""

NAMES = ("profile", "protocol", "method", "label", "dataset", "title", "noise", "rate", "seed")
"""What a record says of what its run was called where it was trained; another profile may call it otherwise."""


class Opened(NamedTuple):
    """A run before it begins: what it is made of, each held against the others.

    Attributes
    ----------
    arrays : Arrays or Photographs
    checksum : str
        SHA-256 of the arrays or the listing.
    task : Task
    recipe : Recipe
    """

    arrays: Data
    checksum: str
    task: Task
    recipe: Recipe


def opened(order: Order) -> Opened:
    """Read what a run is made of.

    Raises
    ------
    SuiteError
        If the data, the task or the encoder cannot be trusted, or do not belong together, or if the processes that are
        here would make it another training.
    """
    identity = order.identity
    folder = order.beside("data", identity["data"])
    prepared, checksum = load_prepared(folder)
    task = load_task(order.beside("tasks", identity["task"]) / "task.npz", expect_data_sha256=checksum)
    pretrained = encoder_of(order)
    recipe = build_recipe(identity, pretrained)
    check_processes(recipe.training)
    arrays = on_disk(order, prepared, folder) if isinstance(prepared, Listing) else prepared
    if pretrained is not None:
        # An encoder that does not fit is refused before the training, whose failures are findings.
        initial_network(recipe, arrays, "student")
    return Opened(arrays, checksum, task, recipe)


def encoder_of(order: Order) -> Path | None:
    """Return the encoder that a run starts from.

    Raises
    ------
    SuiteError
        If the user's own encoder, or the file of weights, is not the one that the order was written for.
    """
    encoder = order.identity["encoder"]
    if encoder is None:
        return None
    if "id" in encoder:
        return order.beside("encoders", encoder["id"]) / "encoder.pt"
    path = ROOT / order.about["checkpoint"]
    algorithm = "md5" if "md5" in encoder else "sha256"
    if file_digest(path, algorithm) != encoder[algorithm]:
        raise SuiteError(f"{path} has changed since this run was ordered; start the workflow again")
    return path


def execute(order: Order, keep: Keep, minutes: float) -> tuple[dict[str, Any], History]:
    """Train one run and return the content of its record and its history (empty if it failed while training).

    It goes on from the run's checkpoint if there is one.

    Raises
    ------
    Interrupted
        If the process was asked to stop.
    SuiteError
        As :func:`opened` does.
    """
    arrays, checksum, task, recipe = opened(order)
    device = open_device(order.identity["device"], order.identity["threads"])
    content = {
        "run": {name: order.about[name] for name in NAMES},
        "id": order.id,
        "config": order.identity,
        "task": _task_facts(task),
        "data": {"sha256": checksum, "released": order.about["released"]},
        "pretrained": None if recipe.pretrained is None else {"sha256": file_digest(recipe.pretrained, "sha256")},
        "versions": versions(),
        "device": device_name(device),
    }
    started, failures = time.perf_counter(), FAILURES if processes.count() == 1 else AGREED
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    try:
        # Another identity, other software or another device make it another training.
        known = {"id": order.id, "versions": content["versions"], "device": content["device"]}
        history = train_recipe(recipe, task, arrays, device, Checkpoints(keep.path, known, minutes, keep.stopped))
    except failures as error:
        if not isinstance(error, SuiteError):
            traceback.print_exc()
        if processes.rank() == 0:
            forget(keep.path)
        return {**content, "status": FAILED, "error": _one_line(error)}, History()
    if isinstance(arrays, Photographs):
        content["data"]["unreadable"] = history.unreadable
    content["task"]["clean_trained_on"] = len(task.clean_labels) if history.learns_from_clean else 0
    return {**content, **_results(history), "timing": _timing(history, started, device)}, history


def build_recipe(identity: Mapping[str, Any], pretrained: Path | None = None) -> Recipe:
    """Return the recipe of a run from its identity (:meth:`pipelines.workflow.steps.Steps.run`)."""
    training = {**identity["training"], "milestones": tuple(identity["training"].get("milestones", ()))}
    way, passes = identity["preprocessing"], identity["passes"]
    same = ("implementation", "options", "model", "order", "crop_padding", "padding", "auto_augment", "flips", "seed")
    return Recipe(
        training=Training(**training),
        mean=tuple(identity["mean"]),
        std=tuple(identity["std"]),
        pretrained=pretrained,
        preprocessing=None if way is None else preprocessing(**way),
        sampling=passes["name"],
        sampled=passes["images"],
        **{name: identity[name] for name in same},
    )


def _results(history: History) -> dict[str, Any]:
    selected = select_epoch(history.epochs, history.first_reported)
    return {
        "status": COMPLETED,
        "selected_epoch": selected,
        "test_accuracy": scores(history.epochs, selected, history.first_reported),
        "epochs": history.epochs,
    }


def _timing(history: History, started: float, device: torch.device) -> dict[str, Any]:
    on_gpu = device.type == "cuda"
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds_per_epoch": [round(seconds, 6) for seconds in history.seconds],
        "total_seconds": round(history.spent + time.perf_counter() - started, 6),
        "resumed": history.resumed,
        "processes": processes.count(),
        "peak_memory_bytes": torch.cuda.max_memory_allocated(device) if on_gpu else kilobytes * 1024,
    }


def _task_facts(task: Task) -> dict[str, Any]:
    return {
        "sha256": task.sha256,
        "effective_rate": task.effective_rate,
        "clean": len(task.clean_labels),
        "validation": len(task.validation_labels),
        "validation_only": len(np.setdiff1d(task.validation_indices, task.clean_indices)),
        "noisy": len(task.noisy_labels),
        "warnings": list(task.warnings),
    }


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]
