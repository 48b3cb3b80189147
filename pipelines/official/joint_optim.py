"""Joint-Optim: both training loops of a third party's PyTorch code.

The authors' own is for Chainer: :mod:`pipelines.official.joint_optim_chainer`.
"""

import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch
from torch import Tensor, nn

from emlc.engine.contract import Batch
from pipelines.official import ours
from pipelines.official.clones import Repository
from pipelines.official.comparison import Case, State, momentum_state, network_state
from pipelines.official.source import Definitions, load, needed
from pipelines.official.ten_classes import with_ten_classes

REPOSITORY = Repository("YU1ut", "JointOptimization", "995387cba2c36ae8951c8e2d7abbf92a396fde12")
BEGIN, FIRST, LAST, BATCH = 11, 13, 19, 50
"""The epoch (1-based) from whose end on labels are replaced; epochs of the first training, and of both."""

RECIPE = ours.training(epochs=LAST, weight_decay=1e-4)
OPTIONS = {"first_share": FIRST / LAST, "update_from": BEGIN / FIRST, "second_lr": 0.2}


def cases(clone: Path) -> Iterator[Case]:
    """Yield the training that learns labels, before and after it begins to, and the one that learns from them."""
    first, second, data_set = (load(clone, file, _given()) for file in ("train.py", "retrain.py", "dataset/cifar10.py"))
    official = with_ten_classes(partial(_official_first, first, data_set))
    yield Case("first training (third party's code)", with_ten_classes(our_first), official, (), (1, FIRST))
    official = with_ten_classes(partial(_official_second, second))
    yield Case("second training (third party's code)", with_ten_classes(our_second), official, (), (1, LAST - FIRST))


def _given() -> dict[str, Any]:
    """Return what the files need to be read: meters, whose values go nowhere, and the base of a set without images."""
    shown = {
        "AverageMeter": _Meter,
        "Bar": lambda *_, **__: MagicMock(),
        "accuracy": lambda *_, **__: (torch.zeros(()),) * 2,
    }
    return shown | {
        "args": SimpleNamespace(out=""),
        "torchvision": SimpleNamespace(datasets=SimpleNamespace(CIFAR10=object)),
    }


def our_first(steps: int) -> State:
    """Return the state after as many epochs as there are steps."""
    return _trained(ours.make("baselines.joint_optim", OPTIONS, RECIPE), range(steps))


def our_second(steps: int) -> State:
    """Return the state of the second student after as many epochs."""
    method = ours.make("baselines.joint_optim", OPTIONS, RECIPE)
    method.labels = learned_labels()
    return _trained(method, range(FIRST, FIRST + steps))


def _trained(method: Any, epochs: range) -> State:
    for epoch in epochs:
        method.begin_epoch(epoch)
        for batch in ours.noisy_pass(epoch, BATCH):
            method.learn(batch, ours.clean_batch(epoch))
        method.end_epoch(epoch)
    return state_of(method.student, method.optimiser, method.labels)


def learned_labels() -> Tensor:
    """Return soft labels [N, C] that a first training may have left."""
    return torch.rand(ours.NOISY_SAMPLES, ours.CLASSES, generator=ours.generator(6)).softmax(dim=1)


def state_of(student: nn.Module, optimiser: torch.optim.Optimizer, labels: Tensor) -> State:
    """Return what is compared."""
    return {
        **network_state("student", student),
        **momentum_state("student", optimiser, list(student.parameters())),
        "labels": [labels],
    }


def _official_first(script: Definitions, data_set: Definitions, steps: int, undone: bool) -> State:
    initial = ours.make("baselines.joint_optim", OPTIONS, RECIPE)
    student, options = copy.deepcopy(initial.student), initial.options
    optimiser = sgd(student, RECIPE.lr)
    script["args"] = SimpleNamespace(alpha=options.prior_weight, beta=options.entropy_weight)
    labelled = noisy_set(needed(data_set, "CIFAR10_train"))
    for epoch in range(steps):
        needed(script, "train")(_Loader(labelled, epoch), student, optimiser, epoch, False)
    return state_of(student, optimiser, torch.from_numpy(labelled.soft_labels))


def _official_second(script: Definitions, steps: int, undone: bool) -> State:
    student = ours.make("baselines.joint_optim", OPTIONS, RECIPE).setting.build("second student")
    rate = OPTIONS["second_lr"]
    optimiser = sgd(student, rate)
    script.update(args=SimpleNamespace(epochs=LAST - FIRST), state={"lr": rate})
    labelled = SimpleNamespace(soft_labels=learned_labels().numpy())
    for epoch in range(steps):
        needed(script, "adjust_learning_rate")(optimiser, epoch)
        needed(script, "train")(_Loader(labelled, FIRST + epoch), student, optimiser, epoch, False)
    return state_of(student, optimiser, torch.from_numpy(labelled.soft_labels))


def sgd(student: nn.Module, lr: float) -> torch.optim.SGD:
    """Return the student's optimiser."""
    return torch.optim.SGD(student.parameters(), lr=lr, momentum=RECIPE.momentum, weight_decay=RECIPE.weight_decay)


def noisy_set(cls: type[Any]) -> Any:
    """Return an official data set without its images, with the given labels in its memory."""
    made = object.__new__(cls)
    made.args = SimpleNamespace(begin=BEGIN, epoch=None, epochs=None)  # None: it never saves itself
    made.soft_labels = np.eye(ours.CLASSES)[ours.noisy_labels().numpy()]
    made.prediction = np.zeros((ours.NOISY_SAMPLES, 10, ours.CLASSES))
    made.count = 0
    return made


class _Meter:
    """A running mean for a progress bar."""

    avg = val = 0.0

    def update(self, *_: float) -> None:
        """Take a value."""


class _Loader:
    """The batches of an epoch, with the labels that a data set has for them then."""

    def __init__(self, dataset: Any, epoch: int) -> None:
        self.dataset, self.batches = _Sized(dataset), ours.noisy_pass(epoch, BATCH)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        return (self._with_labels(batch) for batch in self.batches)

    def _with_labels(self, batch: Batch) -> tuple[Tensor, ...]:
        soft = torch.from_numpy(self.dataset.of.soft_labels[batch.indices.numpy()])
        return batch.inputs, batch.labels, soft, batch.indices


class _Sized:
    """A data set's number of images and memory of labels."""

    def __init__(self, of: Any) -> None:
        self.of = of

    def __len__(self) -> int:
        return ours.NOISY_SAMPLES

    def label_update(self, predictions: Any) -> None:
        """Do what the official set does at an epoch's end."""
        self.of.label_update(predictions)
