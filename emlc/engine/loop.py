"""The training loop: epochs of steps, an evaluation after each, a history that never makes the device wait."""

import math
import time
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from emlc.engine.contract import Method
from emlc.engine.distributed import averaged_metrics
from emlc.engine.evaluation import evaluate
from emlc.engine.history import History
from emlc.engine.keepers import Keeper
from emlc.engine.samples import Samples
from emlc.models import processes
from emlc.records.errors import DivergenceError

TOO_FAST = "lower the learning rate"
NEVER_RIGHT = "nothing was trained yet: look at the inputs, their normalisation (mean, std) and the initial weights"


class Scored(NamedTuple):
    """What a method is scored on after every epoch; nothing is trained on it from here."""

    validation: Samples
    test: Samples


def train(
    method: Method, scored: Scored, epochs: int, history: History | None = None, keeper: Keeper | None = None
) -> History:
    """Train `method` for `epochs` epochs and return what happened.

    Parameters
    ----------
    method : Method
    scored : Scored
    epochs : int
        Total, including those that `history` already holds.
    history : History, optional
        Of a run that is being resumed.
    keeper : Keeper, optional
        Where the run is kept, and gone on from.

    Raises
    ------
    DivergenceError
        If a step metric is not finite; names the epoch, the step and the metric.
    Interrupted
        If the process has been asked to stop and the keeper heeds it.
    """
    history, keeper = history or History(), keeper or Keeper()
    history.first_reported, history.learns_from_clean = method.first_reported, method.learns_from_clean
    keeper.restore(method, history)
    progress = tqdm(
        range(len(history.epochs), epochs),
        desc=type(method).__name__,
        unit="epoch",
        disable=processes.rank() > 0 or None,
    )
    for epoch in progress:
        metrics = _train_epoch(method, history, keeper)
        first = len(history.steps)
        history.steps.extend({"step": first + i, "epoch": epoch, **row} for i, row in enumerate(metrics))
        history.epochs.append(_score_epoch(method, scored, epoch, metrics))
        _note_unreadable(history, *scored)
        history.unreadable = processes.united(history.unreadable)
        progress.set_postfix(test=history.epochs[-1]["test_accuracy"])
        keeper.after_epoch(method, history)
    keeper.after_run(history)
    return history


def _train_epoch(method: Method, history: History, keeper: Keeper) -> list[dict[str, float]]:
    """Train one epoch, or what is left of it, and return the metrics of its steps."""
    epoch, started = len(history.epochs), time.perf_counter() - history.begun_seconds
    if not history.begun:
        method.begin_epoch(epoch)
    while len(history.begun) < method.steps():
        history.begun.append(averaged_metrics(method.step()))
        history.begun_seconds = time.perf_counter() - started
        _note_unreadable(history, method.setting.noisy, method.setting.clean)
        keeper.after_step(method, history)
    method.end_epoch(epoch)
    metrics = _read(history.begun, epoch)
    history.seconds.append(time.perf_counter() - started)
    history.begun, history.begun_seconds = [], 0.0
    return metrics


def _note_unreadable(history: History, *sets: Samples) -> None:
    """Note the image files that could not be read; a resumed run does not come across all of them again."""
    found = {name for samples in sets for name in samples.unreadable()}
    if not found.issubset(history.unreadable):
        history.unreadable = sorted(found.union(history.unreadable))


def _read(metrics: list[dict[str, Tensor]], epoch: int) -> list[dict[str, float]]:
    """Bring an epoch's metrics to the host in one transfer and refuse any that is not finite."""
    scalars = [value.float() for row in metrics for value in row.values()]
    values = iter(torch.stack(scalars).tolist() if scalars else ())
    rows = [{name: next(values) for name in row} for row in metrics]
    for step, row in enumerate(rows):
        for name, value in row.items():
            if not math.isfinite(value):
                advice = NEVER_RIGHT if (epoch, step) == (0, 0) else TOO_FAST
                raise DivergenceError(f"{name} is {value} in epoch {epoch}, step {step}; {advice}")
    return rows


def _score_epoch(method: Method, scored: Scored, epoch: int, metrics: list[dict[str, float]]) -> dict[str, Any]:
    validation, test = evaluate(method, scored.validation), evaluate(method, scored.test)
    scores = {
        "validation_accuracy": validation.accuracy,
        "validation_loss": validation.loss,
        "test_accuracy": test.accuracy,
        "test_loss": test.loss,
    }
    for name, value in scores.items():
        if not math.isfinite(value):
            raise DivergenceError(f"{name} is {value} in epoch {epoch}; {TOO_FAST}")
    return {"epoch": epoch, **scores, **_means(metrics)}


def _means(metrics: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over the steps that have it."""
    values: dict[str, list[float]] = {}
    for row in metrics:
        for name, value in row.items():
            values.setdefault(name, []).append(value)
    return {name: sum(column) / len(column) for name, column in values.items()}


def select_epoch(epochs: list[dict[str, Any]], first: int = 0) -> int:
    """Return the epoch whose student is reported: best clean accuracy (section 4.1), ties by lower clean loss.

    A clean set of 30 images ties often; taking the first of the tied epochs would report a student that has hardly
    been trained. Epochs before `first` are no candidates (:attr:`emlc.engine.contract.Method.first_reported`).
    """
    best = max(epochs[first:], key=lambda row: (row["validation_accuracy"], -row["validation_loss"]))
    return best["epoch"]
