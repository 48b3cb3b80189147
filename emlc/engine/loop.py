"""The training loop: epochs of steps, an evaluation after each, a history that never makes the device wait."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from emlc.engine.contract import Method
from emlc.engine.evaluation import evaluate
from emlc.engine.streams import ImageSet, Stream
from emlc.errors import DivergenceError


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


@dataclass
class History:
    """What happened, epoch by epoch and step by step.

    Attributes
    ----------
    epochs : list of dict
        Scores after each epoch (accuracies in percent) and the mean of each step metric over it.
    steps : list of dict
        The metrics of every step.
    seconds : list of float
        Wall time of each epoch's training, evaluation excluded.
    """

    epochs: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


Observer = Callable[[Method, int], None]
"""Called with the method and the epoch after every evaluation; must leave the method and its generators as they are."""


def unobserved(method: Method, epoch: int) -> None:
    """Look at nothing."""


def train(
    method: Method, feed: Feed, epochs: int, history: History | None = None, observe: Observer = unobserved
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
    observe : callable
        See :data:`Observer`.

    Raises
    ------
    DivergenceError
        If a step metric is not finite; names the epoch, the step and the metric.
    """
    history = history or History()
    progress = tqdm(range(len(history.epochs), epochs), desc=type(method).__name__, unit="epoch", disable=None)
    for epoch in progress:
        started = time.perf_counter()
        metrics = _train_epoch(method, feed, epoch)
        history.seconds.append(time.perf_counter() - started)
        first = len(history.steps)
        history.steps.extend({"step": first + i, "epoch": epoch, **row} for i, row in enumerate(metrics))
        history.epochs.append(_score_epoch(method, feed, epoch, metrics))
        observe(method, epoch)
        progress.set_postfix(test=history.epochs[-1]["test_accuracy"])
    return history


def _train_epoch(method: Method, feed: Feed, epoch: int) -> list[dict[str, float]]:
    method.begin_epoch(epoch)
    steps = feed.noisy.batches_per_pass
    metrics = [method.step(feed.noisy.next(), feed.clean.next()) for _ in range(steps)]
    method.end_epoch(epoch)
    return _read(metrics, epoch)


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
