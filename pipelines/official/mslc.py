"""MSLC: the training loop of the public code, before and after its correction begins."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from emlc.engine.contract import Batch
from pipelines.official import ours
from pipelines.official.clones import Repository
from pipelines.official.comparison import Case, State, momentum_state, network_state
from pipelines.official.meta_module import replaceable, statistics, weight_net
from pipelines.official.source import Definitions, load, needed

REPOSITORY = Repository(
    "WuYichen-97",
    "Learning-to-Purify-Noisy-Labels-via-Meta-Soft-Label-Corrector",
    "9fda4caf75a35de891a48aae44b6cb0cd36ea8cc",
)
OPTIONS = {"hard_labels": True, "virtual_lr": ours.LR}
HIDDEN, WARM_UP, EPOCHS = 100, 79, 120
"""The public code averages the predictions of epochs 70 to 79 and corrects from the 80th (1-based) on."""
AVERAGED = 10

SINGLE = "soft labels are kept in single precision"
RECIPE = ours.training(epochs=EPOCHS, milestones=(WARM_UP,))
"""The public code's learning rate falls when its correction begins; the virtual step's stays."""


def cases(clone: Path) -> Iterator[Case]:
    """Yield steps of the correction, and what the warm-up leaves to the first of them."""
    single, double = (_files(clone, widen) for widen in (False, True))
    yield Case("steps of the correction", _corrected, partial(_official, single, double, WARM_UP), (SINGLE,))
    official = partial(_official, single, double, WARM_UP - AVERAGED)
    yield Case("the warm-up's last ten epochs, then one step", _warmed_up, official, (SINGLE,), (1,))


def _files(clone: Path, widen: bool) -> dict[str, Definitions]:
    given = {"args": SimpleNamespace(lr=ours.LR, batch_size=ours.NOISY_BATCH), "num_classes": ours.CLASSES}
    files = ("main.py", "resnet.py", "dataloader.py")
    return {file: load(clone, file, given if file == "main.py" else None, widen=widen) for file in files}


def _corrected(steps: int) -> State:
    method = ours.make("baselines.mslc", OPTIONS, RECIPE)
    for memory in (method.memory.labels, method.memory.upcoming):
        memory.copy_(_remembered())
    method.begin_epoch(WARM_UP)
    for batch in _epoch(WARM_UP, steps):
        method.learn(*batch)
    method.end_epoch(WARM_UP)
    return _our_state(method)


def _warmed_up(steps: int) -> State:
    method = ours.make("baselines.mslc", OPTIONS, RECIPE)
    for epoch in range(WARM_UP - AVERAGED, WARM_UP + 1):
        method.begin_epoch(epoch)
        for batch in _epoch(epoch, steps):
            method.learn(*batch)
        method.end_epoch(epoch)
    return _our_state(method)


def _remembered() -> Tensor:
    """Return soft labels [N, C] that an earlier epoch may have left, often other than the given ones."""
    return torch.rand(ours.NOISY_SAMPLES, ours.CLASSES, generator=ours.generator(6)).softmax(dim=1)


def _epoch(epoch: int, steps: int) -> list[tuple[Batch, Batch]]:
    """Return an epoch's batches: one of the whole noisy set if there is one step, so that no label is left out."""
    if steps == 1:
        return [(ours.noisy_batch(epoch, ours.NOISY_SAMPLES), ours.clean_batch(epoch))]
    return list(ours.feed(steps))


def _our_state(method: Any) -> State:
    return {
        **network_state("student", method.student),
        **momentum_state("student", method.optimiser, list(method.student.parameters())),
        **network_state("alpha", method.alpha),
        **network_state("beta", method.beta),
        "soft labels": [method.memory.labels],
    }


def _official(
    single: dict[str, Definitions], double: dict[str, Definitions], first: int, steps: int, undone: bool
) -> State:
    files = double if undone else single
    initial = ours.make("baselines.mslc", OPTIONS, RECIPE)
    layers, main = files["resnet.py"], files["main.py"]
    student = replaceable(layers, initial.student)
    nets = [weight_net(layers, net, HIDDEN) for net in (initial.alpha, initial.beta)]
    optimiser = torch.optim.SGD(
        student.params(), lr=RECIPE.lr, momentum=RECIPE.momentum, weight_decay=RECIPE.weight_decay
    )
    adams = [torch.optim.Adam(net.params(), 1e-3, weight_decay=1e-4) for net in nets]
    main["build_model"] = partial(replaceable, layers, initial.student)
    dtype = np.float64 if undone else np.float32
    noisy_set = _NoisySet(_remembered().numpy().astype(dtype), files["dataloader.py"], first)
    for epoch in range(first, WARM_UP + 1):
        batches = _epoch(epoch, steps)
        for group in optimiser.param_groups:
            group["lr"] = RECIPE.learning_rate(epoch)
        clean = [(batch.inputs, batch.labels) for _, batch in batches]
        loader = _Loader(noisy_set, [batch for batch, _ in batches])
        needed(main, "train")(loader, clean, student, *nets, optimiser, *adams, epoch + 1)
    return {
        "student: weights": list(student.params()),
        "student: running statistics": statistics(student),
        **momentum_state("student", optimiser, list(student.params())),
        "alpha: weights": list(nets[0].params()),
        "beta: weights": list(nets[1].params()),
        "soft labels": [torch.as_tensor(np.asarray(noisy_set.kept()))],
    }


class _NoisySet:
    """The official data set's memory of soft labels, without its images; a warm-up begins with whatever is there."""

    def __init__(self, given: Any, dataloader: Definitions, epochs: int) -> None:
        self.soft_labels = given
        self.prediction = np.zeros((len(given), 10, given.shape[1]), given.dtype)
        self.count = epochs
        self.visited: set[int] = set()
        self._update = needed(dataloader, "CIFAR10").label_update

    def __len__(self) -> int:
        return len(self.prediction)

    def label_update(self, results: Any) -> None:
        """Do what the official set does at an epoch's end."""
        self.before = np.array(self.soft_labels)
        self._update(self, results)

    def kept(self) -> Any:
        """Return the soft labels, of samples that the last epoch left out those before it.

        The official loop leaves none out; it would forget them.
        """
        visited = np.isin(np.arange(len(self)), sorted(self.visited))
        return np.where(visited[:, None], np.asarray(self.soft_labels), self.before)


class _Loader:
    """An epoch's batches as the official loader gives them; true labels, which only counts use, are the given ones."""

    def __init__(self, dataset: _NoisySet, batches: list[Batch]) -> None:
        self.dataset, self.batches = dataset, batches
        dataset.visited = {int(index) for batch in batches for index in batch.indices}

    def __iter__(self) -> Iterator[Any]:
        for batch in self.batches:
            soft = torch.from_numpy(np.asarray(self.dataset.soft_labels)[batch.indices.numpy()])
            yield (batch.inputs, batch.inputs), batch.labels, batch.labels, soft, batch.indices
