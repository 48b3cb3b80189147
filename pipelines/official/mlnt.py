"""MLNT: the training loop of the public code, with the random draws of ours."""

import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from emlc.engine.contract import Batch
from pipelines.official import ours
from pipelines.official.clones import Repository
from pipelines.official.comparison import Case, State, momentum_state, network_state
from pipelines.official.networks import WithFastWeights
from pipelines.official.source import Definitions, load, needed

REPOSITORY = Repository("LiJunnan1992", "MLNT", "40f163d42b05c990b499a6d1a5539150986ab370")
NEIGHBOURS, SETS, RAMP, DURING, AFTER = 10, 3, 20, 3, 30
"""The public code's neighbours; label sets; epochs of the ramp; an epoch of it and one after it."""

OPTIONS = {
    "num_fast": SETS, "perturb_ratio": 0.5, "neighbours": NEIGHBOURS, "inner_lr": 0.2, "meta_weight": 0.4,
    "ramp_epochs": RAMP, "pretrain_epochs": 0,
}  # fmt: skip

SCALE = "the consistency loss is divided by the number of classes"
SECOND = "the gradient of the virtual step stays in the graph, so the meta-gradient is of second order"
STATISTICS = "passes at the virtual weights move the student's running statistics"


def cases(clone: Path) -> Iterator[Case]:
    """Yield the ramp and what follows it, to second order as the code is and to first as it was meant.

    The mentor's stages are the paper's alone: the public code has none.
    """
    script = load(clone, "main.py")
    for name, epoch in (("during the ramp", DURING), ("after the ramp", AFTER)):
        for second in (True, False):
            defects = (SCALE, STATISTICS) if second else (SCALE, STATISTICS, SECOND)
            official = partial(_official, script, epoch, second)
            yield Case(
                f"{name}, {'second' if second else 'first'} order", partial(_ours, epoch, second), official, defects
            )


def _ours(epoch: int, second_order: bool, steps: int) -> State:
    method = _method(epoch, second_order)
    teacher: State = {}
    for noisy, clean in ours.feed(steps):
        teacher = network_state("mean teacher", method.teacher)
        method.learn(noisy, clean)
    teacher |= {
        key: value for key, value in network_state("mean teacher", method.teacher).items() if "weights" not in key
    }
    return {
        **network_state("student", method.student),
        **momentum_state("student", method.optimiser, list(method.student.parameters())),
        **teacher,
    }


def _method(epoch: int, second_order: bool) -> Any:
    method = ours.make("baselines.mlnt", OPTIONS | {"second_order": second_order})
    method.begin_epoch(0)
    method.begin_epoch(epoch)
    return method


def _official(script: Definitions, epoch: int, second_order: bool, steps: int, undone: bool) -> State:
    initial, recipe = _method(epoch, second_order), ours.training()
    student = WithFastWeights(copy.deepcopy(initial.student), quiet=undone)
    others = [WithFastWeights(copy.deepcopy(net)) for net in (initial.teacher, initial.frozen)]
    optimiser = torch.optim.SGD(
        student.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    draws = _Draws(first_order=undone and not second_order)
    script.update(
        net=student, tch_net=others[0], pretrain_net=others[1].eval(), optimizer=optimiser, init=True, use_cuda=False,
        criterion=nn.CrossEntropyLoss(), consistent_criterion=nn.KLDivLoss(), torch=draws, random=draws,
        val=_nothing, val_tch=_nothing,
    )  # fmt: skip
    for noisy, _ in ours.feed(steps):
        # One call per step: the public code counts its ramp in steps, ours in epochs. It ends with the first epoch.
        script.update(train_loader=_Loader(noisy), args=_arguments(epoch, ours.CLASSES if undone else 1))
        needed(script, "train")(1 if epoch < RAMP else 2)
    return {
        **network_state("student", student),
        **momentum_state("student", optimiser, list(student.parameters())),
        **network_state("mean teacher", others[0]),
    }


def _arguments(epoch: int, scale: int) -> SimpleNamespace:
    weights = {"lr": ours.LR, "meta_lr": OPTIONS["inner_lr"], "alpha": OPTIONS["meta_weight"] * scale, "eps": 0.99}
    counts = {"num_fast": SETS, "start_iter": -epoch, "mid_iter": RAMP - epoch, "start_epoch": 10, "num_epochs": 1}
    return SimpleNamespace(
        id="", batch_size=ours.NOISY_BATCH, perturb_ratio=OPTIONS["perturb_ratio"], **weights, **counts
    )


def _nothing(*_: Any) -> None:
    """Stand in for an evaluation."""


class _Loader:
    """The one batch of a step."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.dataset = range(ours.NOISY_SAMPLES)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield self.batch.inputs, self.batch.labels


class _Draws:
    """PyTorch and Python's random module for the official loop: as they are, but with the random draws of ours.

    For each label set ours draws a rank among the neighbours per sample, then an order of the samples; the official
    loop draws the order first and then ranks, counted from 1, for the samples that it replaces.
    """

    def __init__(self, *, first_order: bool) -> None:
        self.generator = ours.make("baselines.mlnt", OPTIONS).setting.generator
        self.sets: list[tuple[Tensor, Tensor]] = []
        self.autograd = SimpleNamespace(grad=_detached_grad) if first_order else torch.autograd

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    def randperm(self, count: int) -> Tensor:
        """Return the positions of a label set's samples, first those whose label is replaced."""
        if not self.sets:
            size = (SETS, count)
            ranks = torch.randint(NEIGHBOURS, size, generator=self.generator)
            places = torch.rand(size, generator=self.generator).argsort(dim=1)
            self.sets = list(zip(ranks, places.argsort(dim=1), strict=True))
        ranks, positions = self.sets.pop(0)
        self.ranks = iter(ranks[positions].tolist())
        return positions

    def randint(self, low: int, high: int) -> int:
        """Return the rank of the neighbour that gives the next sample its label."""
        return low + next(self.ranks)


def _detached_grad(outputs: Tensor, inputs: Any, **options: Any) -> tuple[Tensor, ...]:
    """Return gradients that no second derivative passes."""
    del options["create_graph"]
    return torch.autograd.grad(outputs, tuple(inputs), **options)
