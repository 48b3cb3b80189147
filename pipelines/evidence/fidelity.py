"""Meta-gradients against the exact one, on real windows of a run."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from emlc.metagrad import META_GRADIENTS, Window, surrogate_loss
from emlc.method import EMLC
from emlc.records.store import Order
from pipelines.evidence.windows import double, prepared, real_window, train_for
from pipelines.machine.stopwatch import peak_bytes

EXACT, REFERENCE = "unrolled", "fpmg"
LOOK_AHEADS = (1, 2, 5, 10)
STEPS_BETWEEN_DRAWS = 5
REPEATS = 3
"""Calls of which the fastest counts."""


def compare(window: Window, teacher: nn.Module) -> Iterator[dict[str, Any]]:
    """Yield one row per meta-gradient: how it lies to the exact one, and the milliseconds that it took.

    ``cosine``, ``relative_error`` and ``norm_ratio`` are those of the teacher's gradient; ``label_cosine`` is that of
    the derivatives by the soft labels, less each sample's mean over classes, which moves nothing.
    """
    results = {name: _timed(partial(meta_gradient, window)) for name, meta_gradient in META_GRADIENTS.items()}
    truth, true_labels = (of(results[EXACT][0], window, teacher) for of in (_by_teacher, _by_labels))
    for name, (gradients, ms) in results.items():
        by_teacher, by_labels = (of(gradients, window, teacher) for of in (_by_teacher, _by_labels))
        yield {
            "meta_gradient": name,
            "cosine": torch.cosine_similarity(by_teacher, truth, dim=0).item(),
            "label_cosine": torch.cosine_similarity(by_labels, true_labels, dim=0).item(),
            "relative_error": ((by_teacher - truth).norm() / truth.norm()).item(),
            "norm_ratio": (by_teacher.norm() / truth.norm()).item(),
            "times_fpmg": ms / results[REFERENCE][1],
            "ms": ms,
        }


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - started)
    return result, 1000 * min(seconds)


def _by_teacher(gradients: Sequence[Tensor], window: Window, teacher: nn.Module) -> Tensor:
    loss = surrogate_loss(gradients, [step.soft_targets for step in window.steps])
    parts = torch.autograd.grad(loss, tuple(teacher.parameters()), retain_graph=True, materialize_grads=True)
    return torch.cat([part.flatten() for part in parts])


def _by_labels(gradients: Sequence[Tensor], window: Window, teacher: nn.Module) -> Tensor:
    rows = torch.cat(gradients)
    return (rows - rows.mean(dim=1, keepdim=True)).flatten()


def draws(method: EMLC, k: int, count: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of `count` windows of k steps, the method training on between them; memory by the first."""
    for number in range(count + 1):
        train_for(method, STEPS_BETWEEN_DRAWS)
        window = real_window(method, [double(method.noisy.next()) for _ in range(k)], double(method.clean.next()))
        if number == 0:  # warms up, too
            memory = {
                name: peak_bytes(partial(meta_gradient, window), torch.device("cpu")) / 2**20
                for name, meta_gradient in META_GRADIENTS.items()
            }
            continue
        for row in compare(window, method.teacher):
            yield {"k": k, "draw": number - 1, **row, "peak_mib": memory[row["meta_gradient"]]}


def panel(run: Order, warm_up: int, count: int) -> pd.DataFrame:
    """Return every draw of every look-ahead, with the run's momentum and without.

    Parameters
    ----------
    run : Order
    warm_up : int
        Steps of the method before the first window.
    count : int
        Windows for each look-ahead.
    """
    rows = []
    for value in (run.identity["training"]["momentum"], 0.0):
        method = prepared(run, value)
        train_for(method, warm_up)
        for k in LOOK_AHEADS:
            rows.extend({"momentum": value, **row} for row in draws(method, k, count))
    return pd.DataFrame(rows)
