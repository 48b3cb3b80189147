"""ELR+: the training epoch of the public code's two networks, with the random draws of ours."""

import copy
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import torch
from torch import Tensor
from tqdm import tqdm

from baselines.mixup import mixup_coefficient
from emlc.engine.contract import Batch
from pipelines.official import ours
from pipelines.official.clones import Repository
from pipelines.official.comparison import Case, State, momentum_state, network_state
from pipelines.official.replaced import Replaced
from pipelines.official.source import Definitions, load, needed

REPOSITORY = Repository("shengliu66", "ELR", "934af53434a336b6db80d05d7649d23216e8ca6d")
RECIPE = ours.training()
STEPS = RECIPE.epochs * ours.NOISY_SAMPLES // ours.NOISY_BATCH
MASKED = 100
"""The number of classes at which the public code multiplies labels by targets."""

CIFAR_10 = {"average_ramp": 12 / STEPS}
CIFAR_100 = CIFAR_10 | {"ramp": 9 / STEPS, "regularisation": 7.0, "target_momentum": 0.9}
CLOTHING1M = {"average_ramp": 0.0, "average_decay": 0.8}
"""Ramps that some steps climb; a decay that some steps reach."""

MASK = "labels are multiplied by the targets on CIFAR-100"


def cases(clone: Path) -> Iterator[Case]:
    """Yield what the public code does on CIFAR-10, CIFAR-100 and Clothing1M."""
    files = _files(clone)
    for name, options, masks, defects in (
        ("CIFAR-10", CIFAR_10, False, ()),
        ("CIFAR-100, released options", CIFAR_100 | {"masked_classes": ours.CLASSES}, True, ()),
        ("CIFAR-100, paper's options", CIFAR_100, True, (MASK,)),
        ("Clothing1M", CLOTHING1M, False, ()),
    ):
        official = partial(_official, files, options, masks)
        yield Case(name, partial(_ours, options), official, defects)


def _files(clone: Path) -> dict[str, Definitions]:
    ramp = needed(load(clone, "ELR_plus/utils/util.py"), "sigmoid_rampup")
    given = {"BaseTrainer": object, "tqdm": partial(tqdm, disable=True)}
    return {
        "loss": load(clone, "ELR_plus/model/loss.py", {"sigmoid_rampup": ramp}),
        "trainer": load(clone, "ELR_plus/trainer/trainer.py", given | {"sigmoid_rampup": ramp}),
    }


def _turns(steps: int) -> list[list[Batch]]:
    """Return the batches of either network's pass."""
    return [[ours.noisy_batch(steps * turn + step) for step in range(steps)] for turn in range(2)]


def _ours(options: dict[str, Any], steps: int) -> State:
    method = ours.make("baselines.elr_plus", options)
    method.begin_epoch(0)
    for turn, batches in enumerate(_turns(steps)):
        for time, batch in enumerate(batches):
            method.learn(turn, batch, time)
    return _state(method.networks, method.averages, method.optimisers, method.targets)


def _state(networks: Any, averages: Any, optimisers: Any, targets: Any) -> State:
    state: State = {}
    for number, name in enumerate(("first", "second")):
        state |= network_state(name, networks[number]) | network_state(f"average of the {name}", averages[number])
        state |= momentum_state(name, optimisers[number], list(networks[number].parameters()))
        state |= {f"targets of the {name}": [targets[number]]}
    return state


def _official(files: dict[str, Definitions], options: dict[str, Any], masks: bool, steps: int, undone: bool) -> State:
    initial = ours.make("baselines.elr_plus", options)
    networks, averages = copy.deepcopy(initial.networks), copy.deepcopy(initial.averages)
    optimisers = [
        torch.optim.SGD(net.parameters(), lr=RECIPE.lr, momentum=RECIPE.momentum, weight_decay=RECIPE.weight_decay)
        for net in networks
    ]
    criteria = [_criterion(files["loss"], initial.options, masks=masks and not undone) for _ in networks]
    trainer = _trainer(files["trainer"], initial.options, steps)
    draws = _Draws(initial.options.mixup_alpha, initial.setting.generator)
    files["trainer"].update(
        np=Replaced(files["trainer"]["np"], random=draws), torch=Replaced(torch, randperm=draws.randperm)
    )
    for turn, batches in enumerate(_turns(steps)):
        trainer._train_epoch(
            1, networks[turn], averages[turn], averages[1 - turn], _Loader(batches), criteria[turn], optimisers[turn],
            MagicMock(),
        )  # fmt: skip
    return _state(networks, averages, optimisers, [criterion.pred_hist for criterion in criteria])


def _criterion(loss: Definitions, options: Any, *, masks: bool) -> Any:
    length = round(options.ramp * STEPS)
    config = {"coef_step": length, "train_loss": {"args": {"lambda": options.regularisation}}}
    made = needed(loss, "elr_plus_loss")(
        ours.NOISY_SAMPLES, config, ours.CPU, num_classes=ours.CLASSES, beta=options.target_momentum
    )
    made.num_classes = MASKED if masks else ours.CLASSES
    return made


def _trainer(definitions: Definitions, options: Any, steps: int) -> Any:
    """Return the official trainer without its files and logs."""
    trainer = object.__new__(needed(definitions, "Trainer"))
    length = round(options.average_ramp * STEPS)
    trainer.config = {
        "num_classes": ours.CLASSES, "mixup_alpha": options.mixup_alpha, "ema_alpha": options.average_decay,
        "ema_update": bool(length), "ema_step": length,
    }  # fmt: skip
    trainer.metrics, trainer.train_loss_list, trainer.writer = [], [], MagicMock()
    trainer.global_step, trainer.len_epoch, trainer.log_step = 0, steps, steps
    trainer._progress = str
    return trainer


class _Loader:
    """The batches of a pass; the true labels, which nothing uses, are the given ones."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches, self.dataset = batches, range(ours.NOISY_SAMPLES)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        return ((batch.inputs, batch.labels, batch.indices, batch.labels) for batch in self.batches)


class _Draws:
    """Mixup's draws in the order of ours: the coefficient, then the partners."""

    def __init__(self, alpha: float, generator: torch.Generator) -> None:
        self.alpha, self.generator = alpha, generator

    def beta(self, *_: float) -> float:
        """Return the coefficient; the public code takes its larger half, ours draws that."""
        return mixup_coefficient(self.alpha, self.generator).item()

    def randperm(self, count: int) -> Tensor:
        """Return the partners."""
        return torch.randperm(count, generator=self.generator)
