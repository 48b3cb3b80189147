"""SimCLR: SupContrast's loss, and the learning rate of every step of its SimCLR command."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional as F

from emlc.engine import simclr
from pipelines.official import ours
from pipelines.official.clones import Repository
from pipelines.official.comparison import Case, State
from pipelines.official.source import Definitions, load, needed

REPOSITORY = Repository("HobbitLong", "SupContrast", "66a8fe53880d6a1084b2e4e0db0a019024d6d41a")
TEMPERATURE, IMAGES, DIM, EPOCHS, STEPS_PER_EPOCH = 0.5, 12, 16, 1000, 49
COMMAND = "--batch_size 1024 --learning_rate 0.5 --temp 0.5 --cosine --method SimCLR"
"""The SimCLR command of its README; 50,000 images are 49 steps."""


def cases(clone: Path) -> Iterator[Case]:
    """Yield the loss with its gradient, and the schedule."""
    losses, schedule, command = (load(clone, file) for file in ("losses.py", "util.py", "main_supcon.py"))
    yield Case("loss", _loss, partial(_official_loss, losses), steps=(1,))
    yield Case("learning rate of every step", _rates, partial(_official_rates, schedule, command), steps=(1,))


def _views() -> tuple[Tensor, Tensor]:
    views = torch.randn(2 * IMAGES, DIM, generator=ours.generator(4))
    first, second = F.normalize(views, dim=1).chunk(2)
    return first.clone().requires_grad_(), second.clone().requires_grad_()


def _loss(steps: int) -> State:
    views = _views()
    return _with_gradient(simclr.nt_xent(*views, TEMPERATURE), views)


def _official_loss(losses: Definitions, steps: int, undone: bool) -> State:
    views = _views()
    loss = needed(losses, "SupConLoss")(temperature=TEMPERATURE)(torch.stack(views, dim=1))
    return _with_gradient(loss, views)


def _with_gradient(loss: Tensor, views: Sequence[Tensor]) -> State:
    return {"loss": [loss.detach()], "gradient": list(torch.autograd.grad(loss, views))}


def _rates(steps: int) -> State:
    recipe = simclr.Recipe(model={}, flips=True, mean=(), std=(), epochs=EPOCHS)
    numbers = range(EPOCHS * STEPS_PER_EPOCH)
    return {"learning rate": [torch.tensor([simclr.learning_rate(recipe, step, STEPS_PER_EPOCH) for step in numbers])]}


def _official_rates(schedule: Definitions, command: Definitions, steps: int, undone: bool) -> State:
    options, optimiser, rates = _parsed(command), SimpleNamespace(param_groups=[{"lr": 0.0}]), []
    for epoch in range(1, options.epochs + 1):
        needed(schedule, "adjust_learning_rate")(options, optimiser, epoch)
        for step in range(STEPS_PER_EPOCH):
            needed(schedule, "warmup_learning_rate")(options, epoch, step, STEPS_PER_EPOCH, optimiser)
            rates.append(optimiser.param_groups[0]["lr"])
    return {"learning rate": [torch.tensor(rates)]}


def _parsed(command: Definitions) -> Any:
    """Return what the official script makes of its command line; the folders that it makes go with the block."""
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        patch.object(sys, "argv", ["main_supcon.py", *COMMAND.split()]),
    ):
        return needed(command, "parse_option")()
