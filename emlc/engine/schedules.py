"""How the student's learning rate falls over a run, epoch by epoch."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emlc.engine.setting import Training


def constant(training: "Training", epoch: int) -> float:
    """Return ``lr`` in every epoch."""
    return training.lr


def steps(training: "Training", epoch: int) -> float:
    """Return ``lr``, multiplied by ``decay`` once for every milestone that `epoch` (0-based) has reached."""
    return training.lr * training.decay ** sum(epoch >= milestone for milestone in training.milestones)


def cosine(training: "Training", epoch: int) -> float:
    """Return ``final + (lr - final) (1 + cos(pi e / E)) / 2`` in epoch e (0-based) of E (SGDR, without restarts)."""
    share = (1 + math.cos(math.pi * epoch / training.epochs)) / 2
    return training.final_lr + (training.lr - training.final_lr) * share


SCHEDULES: Mapping[str, Callable[["Training", int], float]] = {"constant": constant, "steps": steps, "cosine": cosine}
"""The schedules by the name that profiles use."""
