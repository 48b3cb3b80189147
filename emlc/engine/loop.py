"""The training loop: epochs of steps, an evaluation after each, a history that never makes the device wait."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from emlc.engine.contract import Method
from emlc.engine.evaluation import evaluate
from emlc.engine.history import History
from emlc.engine.keepers import Keeper
from emlc.engine.streams import ImageSet, Stream
from emlc.records.errors import DivergenceError


@dataclass(frozen=True)
class Feed:
    """What the loop feeds a method with and scores it on.

    Attributes
    ----------
    noisy, clean : Stream
        Training batches.
    validation, test : ImageSet
        Scored after every epoch, never trained on from here.
    normalise : callable
        uint8 images to inputs, without augmentation.
    """

    noisy: Stream
    clean: Stream
    validation: ImageSet
    test: ImageSet
    normalise: Callable[[Tensor], Tensor]

    def state(self) -> dict[str, Any]:
        """Return everything that decides the batches to come."""
        return {"noisy": self.noisy.state(), "clean": self.clean.state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self.noisy.load_state(state["noisy"])
        self.clean.load_state(state["clean"])


def train(
    method: Method, feed: Feed, epochs: int, history: History | None = None, keeper: Keeper | None = None
) -> History:
    """Train `method` for `epochs` epochs and return what happened.

    Parameters
    ----------
    method : Method
    feed : Feed
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
    keeper.restore(method, feed, history)
    progress = tqdm(range(len(history.epochs), epochs), desc=type(method).__name__, unit="epoch", disable=None)
    for epoch in progress:
        metrics = _train_epoch(method, feed, history, keeper)
        first = len(history.steps)
        history.steps.extend({"step": first + i, "epoch": epoch, **row} for i, row in enumerate(metrics))
        history.epochs.append(_score_epoch(method, feed, epoch, metrics))
        progress.set_postfix(test=history.epochs[-1]["test_accuracy"])
        keeper.after_epoch(method, feed, history)
    keeper.after_run(history)
    return history


def _train_epoch(method: Method, feed: Feed, history: History, keeper: Keeper) -> list[dict[str, float]]:
    """Train one epoch, or what is left of it, and return the metrics of its steps."""
    epoch, started = len(history.epochs), time.perf_counter() - history.begun_seconds
    if not history.begun:
        method.begin_epoch(epoch)
    while len(history.begun) < feed.noisy.batches_per_pass:
        history.begun.append(method.step(feed.noisy.next(), feed.clean.next()))
        history.begun_seconds = time.perf_counter() - started
        keeper.after_step(method, feed, history)
    method.end_epoch(epoch)
    metrics = _read(history.begun, epoch)
    history.seconds.append(time.perf_counter() - started)
    history.begun, history.begun_seconds = [], 0.0
    return metrics


def _read(metrics: list[dict[str, Tensor]], epoch: int) -> list[dict[str, float]]:
    """Bring an epoch's metrics to the host in one transfer and refuse any that is not finite."""
    names = list(metrics[0])
    values = torch.stack([torch.stack([row[name].float() for name in names]) for row in metrics]).tolist()
    rows = [dict(zip(names, row, strict=True)) for row in values]
    for step, row in enumerate(rows):
        for name, value in row.items():
            if not math.isfinite(value):
                raise DivergenceError(f"{name} is {value} in epoch {epoch}, step {step}; lower the learning rate")
    return rows


def _score_epoch(method: Method, feed: Feed, epoch: int, metrics: list[dict[str, float]]) -> dict[str, Any]:
    validation = evaluate(method, feed.validation, feed.normalise)
    test = evaluate(method, feed.test, feed.normalise)
    means = {name: sum(row[name] for row in metrics) / len(metrics) for name in metrics[0]}
    scores = {
        "validation_accuracy": validation.accuracy,
        "validation_loss": validation.loss,
        "test_accuracy": test.accuracy,
        "test_loss": test.loss,
    }
    for name, value in scores.items():
        if not math.isfinite(value):
            raise DivergenceError(f"{name} is {value} in epoch {epoch}; lower the learning rate")
    return {"epoch": epoch, **scores, **means}


def select_epoch(epochs: list[dict[str, Any]]) -> int:
    """Return the epoch whose student is reported: best clean accuracy (section 4.1), ties by lower clean loss.

    A clean set of 30 images ties often; taking the first of the tied epochs would report a student that has hardly
    been trained.
    """
    best = max(epochs, key=lambda row: (row["validation_accuracy"], -row["validation_loss"]))
    return best["epoch"]
