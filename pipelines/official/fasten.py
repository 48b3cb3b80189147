"""FasTEN: the training loop of the public code, with labels that it replaces on the way."""

import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from emlc.engine.contract import Batch
from pipelines.official import ours
from pipelines.official.clones import Repository
from pipelines.official.comparison import Case, State, momentum_state, network_state
from pipelines.official.networks import TwoHeads
from pipelines.official.source import Definitions, load, needed

REPOSITORY = Repository("hyperconnect", "FasTEN", "50e63d3069dc4c87dc357527a69f720b679d2a6c")
OPTIONS = {"threshold": 0.3, "noisy_weight": 0.5}
"""The threshold is low enough for an untrained network of five classes to replace labels."""


def cases(clone: Path) -> Iterator[Case]:
    """Yield the one way that the method is run."""
    given = {"torch": torch, "F": F, "np": np}  # which its script has from other files, by ``import *``
    yield Case(
        "steps, labels replaced on the way", _ours, partial(_official, load(clone, "Train_cifar_FasTEN.py", given))
    )


def _ours(steps: int) -> State:
    method = ours.make("baselines.fasten", OPTIONS)
    ours.take(method, steps)
    heads = [*method.student.parameters(), *method.noisy_head.parameters()]
    return {
        **network_state("student", TwoHeads(method.student, method.noisy_head)),
        **momentum_state("student", method.optimiser, heads),
        "labels in use": [method.labels],
    }


def _official(script: Definitions, steps: int, undone: bool) -> State:
    initial, recipe = ours.make("baselines.fasten", OPTIONS), ours.training()
    network = TwoHeads(copy.deepcopy(initial.student), copy.deepcopy(initial.noisy_head))
    optimiser = torch.optim.SGD(
        network.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    script["relabels"] = ours.noisy_labels().numpy().copy()
    noisy, clean = zip(*ours.feed(steps), strict=True)
    needed(script, "train")(1, network, optimiser, _Noisy(noisy), _Fresh(clean), _arguments())
    return {
        **network_state("student", network),
        **momentum_state("student", optimiser, list(network.parameters())),
        "labels in use": [torch.from_numpy(script["relabels"])],
    }


def _arguments() -> SimpleNamespace:
    told = {"dataset": "tiny", "r": 0.5, "noise_mode": "sym", "num_epochs": 1}
    sizes = {"batch_size": ours.NOISY_BATCH, "num_classes": ours.CLASSES, "nPerImage": ours.CLEAN_PER_CLASS}
    upper, weight = OPTIONS["threshold"], OPTIONS["noisy_weight"]
    return SimpleNamespace(use_correction=True, thres_upper=upper, lambda_n=weight, **sizes, **told)


class _Noisy(list[Any]):
    """The noisy batches as the official loader gives them."""

    def __init__(self, batches: tuple[Batch, ...]) -> None:
        super().__init__((batch.inputs, batch.labels, batch.indices) for batch in batches)
        self.dataset = range(ours.NOISY_SAMPLES)


class _Fresh:
    """The clean batches: the official loop begins a new pass for each of its steps and takes the first."""

    def __init__(self, batches: tuple[Batch, ...]) -> None:
        self.batches = iter(batches)

    def __iter__(self) -> Iterator[Any]:
        batch = next(self.batches)
        return iter([(batch.inputs, batch.labels)])
