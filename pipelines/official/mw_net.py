"""MW-Net: the training loop of the public code."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import torch

from pipelines.official import ours
from pipelines.official.clones import Repository
from pipelines.official.comparison import Case, State, momentum_state, network_state
from pipelines.official.meta_module import replaceable, statistics, weight_net
from pipelines.official.source import Definitions, load, needed

REPOSITORY = Repository("xjtushujun", "meta-weight-net", "3f1800ff26bc66ceda6075f3fa25f3a7e0665a4d")
HIDDEN = 100


def cases(clone: Path) -> Iterator[Case]:
    """Yield the one way that the method is run."""
    given = {"device": ours.CPU, "args": SimpleNamespace(lr=ours.LR)}
    script, layers = load(clone, "MW-Net.py", given), load(clone, "resnet.py")
    yield Case("steps", _ours, partial(_official, script, layers))


def _ours(steps: int) -> State:
    method = ours.make("baselines.mw_net", {})
    ours.take(method, steps)
    return {
        **network_state("student", method.student),
        **momentum_state("student", method.optimiser, list(method.student.parameters())),
        **network_state("weight network", method.weight_net),
    }


def _official(script: Definitions, layers: Definitions, steps: int, undone: bool) -> State:
    initial, recipe = ours.make("baselines.mw_net", {}), ours.training()
    student = replaceable(layers, initial.student)
    weights = weight_net(layers, initial.weight_net, HIDDEN)
    optimiser = torch.optim.SGD(
        student.params(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    weight_optimiser = torch.optim.Adam(weights.params(), 1e-3, weight_decay=1e-4)
    script["build_model"] = partial(replaceable, layers, initial.student)
    batches = list(ours.feed(steps))
    noisy = [(batch.inputs, batch.labels) for batch, _ in batches]
    clean = [(batch.inputs, batch.labels) for _, batch in batches]
    needed(script, "train")(noisy, clean, student, weights, optimiser, weight_optimiser, 0)
    return {
        "student: weights": list(student.params()),
        "student: running statistics": statistics(student),
        **momentum_state("student", optimiser, list(student.params())),
        "weight network: weights": list(weights.params()),
    }
