"""A training by several processes: what the engine does so that it is the training by one.

Each process takes its part of every batch (:mod:`emlc.engine.streams`). Before an optimiser steps, the gradients that
it is to use are averaged over the processes, whichever method made them; metrics likewise. What else is not a sum over
samples, a method has to reduce itself (:mod:`emlc.models.processes`), and says that it does by
:attr:`emlc.engine.contract.Method.shared`.
"""

from typing import Any

import torch
from torch import Tensor

from emlc.engine.contract import Method
from emlc.engine.setting import Training
from emlc.engine.state import found
from emlc.models import processes
from emlc.models.batch_norm import LOCAL
from emlc.records.errors import SuiteError


def check_processes(training: Training) -> None:
    """Refuse to start a training with a number of processes that would make it another one.

    With synchronised batch normalisation the number changes rounding only, so a training for several may be done, or
    gone on with, by fewer or more.

    Raises
    ------
    SuiteError
        If the training is for another number of processes and normalises each one's batch by itself, or is for one
        alone, or if a batch cannot be shared equally.
    """
    started, wanted = processes.count(), training.processes
    if started != wanted and (wanted == 1 or training.batch_norm == LOCAL):
        raise SuiteError(
            f"{started} processes for a training of {wanted}; use torchrun --nproc-per-node {wanted}, or set processes"
        )
    processes.share(training.batch_size)


def check_method(method: type[Method], implementation: str) -> None:
    """Refuse to start a method with several processes unless it says itself that it is right there.

    Raises
    ------
    SuiteError
        If it does not; what its parent class says does not count.
    """
    if processes.count() > 1 and not vars(method).get("shared", False):
        raise SuiteError(f"{implementation} is not known to be right on several processes; set its processes to 1")


def average_gradients(method: Method) -> None:
    """Let every optimiser of a method average its gradients over all processes before it steps."""
    if processes.count() > 1:
        for optimiser in found(method, torch.optim.Optimizer):
            optimiser.register_step_pre_hook(_average)


def _average(optimiser: torch.optim.Optimizer, *_: Any) -> None:
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    for gradient, mean in zip(gradients, processes.averaged(gradients), strict=True):
        gradient.copy_(mean)


def averaged_metrics(metrics: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a step's metrics, each the mean over all processes."""
    if processes.count() == 1:
        return metrics
    return dict(zip(metrics, processes.averaged([value.float() for value in metrics.values()]), strict=True))
