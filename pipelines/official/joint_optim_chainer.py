"""Joint-Optim: the authors' losses and memory of labels, with PyTorch's functions in the place of Chainer's.

Chainer itself is not installed. What its trainer does around them, one SGD step per batch and an update of the labels
after each epoch, is done here.
"""

import copy
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipelines.official import ours
from pipelines.official.clones import Repository
from pipelines.official.comparison import Case, State
from pipelines.official.joint_optim import (
    BATCH,
    FIRST,
    LAST,
    OPTIONS,
    RECIPE,
    learned_labels,
    noisy_set,
    our_first,
    our_second,
    sgd,
    state_of,
)
from pipelines.official.source import Definitions, load, needed
from pipelines.official.ten_classes import with_ten_classes

REPOSITORY = Repository("DaikiTanaka-UT", "JointOptimization", "7e7a30dfca8b779d59dee257b3b1c592ab9cf8c1")
ONE_RATE = (LAST - FIRST) // 3
"""Epochs of the second training before its learning rate falls: momentum in Chainer contains the rate of its time."""


def cases(clone: Path) -> Iterator[Case]:
    """Yield the training that learns labels and the one that learns from them."""
    first, second = (load(clone, f"{step}_step_train.py", _chainer()) for step in ("first", "second"))
    official = with_ten_classes(partial(_official_first, first))
    yield Case("first training, losses and labels", with_ten_classes(our_first), official, (), (1, FIRST))
    official = with_ten_classes(partial(_official_second, second))
    yield Case("second training, loss", with_ten_classes(our_second), official, (), (1, ONE_RATE))


def _official_first(script: Definitions, steps: int, undone: bool) -> State:
    initial = ours.make("baselines.joint_optim", OPTIONS, RECIPE)
    student, options = copy.deepcopy(initial.student), initial.options
    script["PreActResNet"] = lambda: student
    chain = needed(script, "TrainChain")(ours.NOISY_SAMPLES, options.prior_weight, options.entropy_weight)
    optimiser, labels = sgd(student, RECIPE.lr), noisy_set(needed(script, "TrainData"))
    for epoch in range(steps):
        for batch in ours.noisy_pass(epoch, BATCH):
            soft = torch.from_numpy(labels.soft_labels[batch.indices.numpy()])
            _descend(optimiser, chain(batch.inputs, batch.labels, soft, batch.indices))
        labels.label_update(chain.results)
    return state_of(student, optimiser, torch.from_numpy(labels.soft_labels))


def _official_second(script: Definitions, steps: int, undone: bool) -> State:
    student = ours.make("baselines.joint_optim", OPTIONS, RECIPE).setting.build("second student")
    script["PreActResNet"] = lambda: student
    chain, optimiser = needed(script, "TrainChain")(), sgd(student, OPTIONS["second_lr"])
    for epoch in range(FIRST, FIRST + steps):
        for batch in ours.noisy_pass(epoch, BATCH):
            _descend(optimiser, chain(batch.inputs, batch.labels, learned_labels()[batch.indices]))
    return state_of(student, optimiser, learned_labels())


def _descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


class _Chain:
    """The base of Chainer's models."""

    def init_scope(self) -> Any:
        """Return a block in which parameters would be registered."""
        return nullcontext()


def _chainer() -> dict[str, Any]:
    """Return what the scripts import of Chainer, of PyTorch."""
    chainer = SimpleNamespace(
        Chain=_Chain, config=SimpleNamespace(train=True), report=lambda *_: None,
        dataset=SimpleNamespace(DatasetMixin=object), cuda=SimpleNamespace(to_gpu=torch.from_numpy, to_cpu=np.asarray),
    )  # fmt: skip
    functions = SimpleNamespace(
        softmax=_softmax, log_softmax=lambda x: x.log_softmax(dim=1), log=torch.log, accuracy=lambda *_: None,
        mean=lambda x, axis=None: x.mean() if axis is None else x.mean(dim=axis),
        sum=lambda x, axis=None: x.sum() if axis is None else x.sum(dim=axis),
    )  # fmt: skip
    training = SimpleNamespace(extension=SimpleNamespace(Extension=object))
    return {"chainer": chainer, "F": functions, "training": training}


def _softmax(logits: Tensor) -> Tensor:
    """Return the softmax, with its values where Chainer has them."""
    result = logits.softmax(dim=1)
    result.array = result.detach().numpy()
    return result
