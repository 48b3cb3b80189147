"""PENCIL: the training loop of the public code, through its three stages."""

import copy
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from emlc.engine.contract import Batch
from pipelines.official import ours
from pipelines.official.clones import Repository
from pipelines.official.comparison import Case, State, momentum_state, network_state
from pipelines.official.source import Definitions, load, needed
from pipelines.official.ten_classes import with_ten_classes

REPOSITORY = Repository("yikun2019", "PENCIL", "8a89ed50b6ecd998439b09947b59412dccbca93f")
EPOCHS, STAGE_1, STAGE_2, BATCH = 9, 1, 3, 50
"""One epoch of Cross-Entropy, two that correct labels, and six, two at each learning rate, on what they are then."""

RECIPE = ours.training(epochs=EPOCHS, weight_decay=1e-4)
OPTIONS = {
    "warm_up": STAGE_1 / EPOCHS, "correction": (STAGE_2 - STAGE_1) / EPOCHS, "label_lr": 6000.0,
    "compatibility": 0.1, "entropy_weight": 0.8, "fine_tune_lr": 0.2,
}  # fmt: skip
"""Labels take steps so long that, as released, two of them overturn nearly all."""

TWICE = "the compatibility loss takes the softmax of the label a second time"
FLOOR = "the last stage's learning rate is divided without a fraction: 0 for two thirds of it"


def cases(clone: Path) -> Iterator[Case]:
    """Yield the loop as released and as described."""
    script = load(clone, "PENCIL.py")
    steps = (1, STAGE_2, EPOCHS)
    released = OPTIONS | {"double_softmax": True, "fine_tune_decay": 0.0}
    official = with_ten_classes(partial(_official, script))
    yield Case("three stages, released options", with_ten_classes(partial(_ours, released)), official, (), steps)
    ours_as_described = with_ten_classes(partial(_ours, OPTIONS))
    yield Case("three stages, paper's options", ours_as_described, official, (TWICE, FLOOR), steps)


def _ours(options: dict[str, Any], steps: int) -> State:
    """Return the state after as many epochs as there are steps."""
    method = ours.make("baselines.pencil", options, RECIPE)
    for epoch in range(steps):
        method.begin_epoch(epoch)
        for batch in ours.noisy_pass(epoch, BATCH):
            method.learn(batch, ours.clean_batch(epoch))
    return {
        **network_state("student", method.student),
        **momentum_state("student", method.optimiser, list(method.student.parameters())),
        "label vectors": [method.label_logits],
    }


def _official(script: Definitions, steps: int, undone: bool) -> State:
    student = copy.deepcopy(ours.make("baselines.pencil", OPTIONS, RECIPE).student)
    optimiser = torch.optim.SGD(
        student.parameters(), lr=RECIPE.lr, momentum=RECIPE.momentum, weight_decay=RECIPE.weight_decay
    )
    with TemporaryDirectory() as folder:
        (Path(folder) / "record").mkdir()
        script["args"] = _arguments(f"{folder}/", undone=undone)
        vectors: Any = []
        for epoch in range(steps):
            needed(script, "adjust_learning_rate")(optimiser, epoch)
            loader, criterion = _Loader(ours.noisy_pass(epoch, BATCH)), _criterion(epoch, once=undone)
            needed(script, "train")(loader, student, criterion, optimiser, epoch, vectors)
            vectors = np.load(f"{folder}/y.npy")
    return {
        **network_state("student", student),
        **momentum_state("student", optimiser, list(student.parameters())),
        "label vectors": [torch.from_numpy(vectors)],
    }


def _arguments(folder: str, *, undone: bool) -> SimpleNamespace:
    rates = {"lr": ours.LR, "lr2": _Exact(OPTIONS["fine_tune_lr"]) if undone else OPTIONS["fine_tune_lr"]}
    weights = {"alpha": OPTIONS["compatibility"], "beta": OPTIONS["entropy_weight"], "lambda1": OPTIONS["label_lr"]}
    stages = {"stage1": STAGE_1, "stage2": STAGE_2, "epochs": EPOCHS}
    sizes = {"datanum": ours.NOISY_SAMPLES, "classnum": ours.CLASSES}
    return SimpleNamespace(dir=folder, print_freq=1, **rates, **weights, **stages, **sizes)


def _criterion(epoch: int, *, once: bool) -> Callable[[Tensor, Tensor], Tensor]:
    """Return what the loop takes for Cross-Entropy: of logits at first, and then of labels, logits or not."""
    if once and epoch >= STAGE_1:
        return lambda labels, given: F.nll_loss(labels.log(), given)
    return nn.CrossEntropyLoss()


class _Exact(float):
    """A learning rate whose division keeps the fraction."""

    def __floordiv__(self, other: float) -> float:
        return self / other


class _Loader:
    """The batches of an epoch."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        return ((batch.inputs, batch.labels, batch.indices) for batch in self.batches)
