"""MSLG: the public code's whole training, a warm-up and epochs of learned labels."""

import copy
from collections.abc import Iterator
from contextlib import chdir
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch
from torch import Tensor, nn

from emlc.engine.contract import Batch
from pipelines.official import ours
from pipelines.official.clones import Repository
from pipelines.official.comparison import Case, State, momentum_state, network_state
from pipelines.official.networks import WithFastWeights
from pipelines.official.source import Definitions, load, needed

REPOSITORY = Repository("gorkemalgan", "MSLG_noisy_label", "7b6e5f76c2d4aac4eace4210c7a6ac9df8eb8341")
RECIPE = ours.training(weight_decay=1e-4)
WARM_UP, BATCH, CERTAINTY = 1, 50, 10.0
OPTIONS = {"warm_up": WARM_UP / RECIPE.epochs, "virtual_lr": 0.5, "label_lr": 400.0, "entropy_weight": 1.0}

FLOOR = "1e-10 is added to labels before their logarithm"
STATISTICS = "clean batches move the student's running statistics"


def cases(clone: Path) -> Iterator[Case]:
    """Yield the warm-up's epoch, and the next two with it."""
    averages = needed(load(clone, "utils.py"), "AverageMeter")
    script = load(clone, "main.py", {"AverageMeter": averages})
    yield Case("warm-up", _ours, partial(_official, script), (), (WARM_UP,))
    official = partial(_official, script)
    yield Case("warm-up, then learned labels", _ours, official, (FLOOR, STATISTICS), (WARM_UP + 1, WARM_UP + 2))


def _batches() -> list[tuple[Batch, Batch]]:
    """Return the one order of batches that every epoch has, as in the public code, and clean ones beside them."""
    starts = range(0, ours.NOISY_SAMPLES, BATCH)
    pixels = torch.cat([batch.inputs for batch in ours.noisy_pass(0, BATCH)])
    labels = ours.noisy_labels()
    noisy = [Batch((pixels[i : i + BATCH],), labels[i : i + BATCH], torch.arange(i, i + BATCH)) for i in starts]
    return [(batch, ours.clean_batch(number)) for number, batch in enumerate(noisy)]


def _ours(steps: int) -> State:
    """Return the state after as many epochs as there are steps."""
    method = ours.make("baselines.mslg", OPTIONS, RECIPE)
    for epoch in range(steps):
        method.begin_epoch(epoch)
        for noisy, clean in _batches():
            method.learn(noisy, clean)
    return {
        **network_state("student", method.student),
        **momentum_state("student", method.optimiser, list(method.student.parameters())),
        "label vectors": [method.label_logits],
    }


def _official(script: Definitions, steps: int, undone: bool) -> State:
    student = WithFastWeights(copy.deepcopy(ours.make("baselines.mslg", OPTIONS, RECIPE).student), quiet=undone)
    optimiser = torch.optim.SGD(
        student.parameters(), lr=RECIPE.lr, momentum=RECIPE.momentum, weight_decay=RECIPE.weight_decay
    )
    script.update(_globals(student, optimiser))
    with TemporaryDirectory() as folder, chdir(folder):
        script["softmax"] = _softmax if undone else nn.Softmax(dim=1)
        rates = (OPTIONS[name] for name in ("virtual_lr", "label_lr", "entropy_weight"))
        needed(script, "metapencil")(*rates, WARM_UP, steps, CERTAINTY)
        vectors = np.load("y.npy")
    return {
        **network_state("student", student),
        **momentum_state("student", optimiser, list(student.parameters())),
        "label vectors": [torch.from_numpy(vectors)],
    }


def _globals(student: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Return what the script sets before it trains; it keeps the labels if it keeps logs, which go nowhere else."""
    noisy, clean = zip(*_batches(), strict=True)
    tensors = [[(batch.inputs, batch.labels) for batch in batches] for batches in (noisy, clean)]
    sizes = {"NUM_CLASSES": ours.CLASSES, "BATCH_SIZE": BATCH, "NUM_METADATA": len(ours.clean_labels())}
    told = {"dataset": ".", "noise_type": "", "noise_ratio": 0, "noisy_idx": None, "verbose": 0, "log_dir": ""}
    logs = {"SAVE_LOGS": 1, "summary_writer": MagicMock(), "hp_writer": MagicMock()}
    silent = dict.fromkeys(("plot_confusion_matrix", "get_topk", "image_grid"), MagicMock())
    sets = {"train_dataset": range(ours.NOISY_SAMPLES), "meta_dataset": None, "use_clean_data": 1}
    loaders = {"train_dataloader": tensors[0], "meta_dataloader": tensors[1], "test_dataloader": []}
    rates = {"lr_scheduler": RECIPE.learning_rate, "set_learningrate": lambda *_: None}
    return {
        "net": student, "optimizer": optimiser, "device": ours.CPU, "logsoftmax": nn.LogSoftmax(dim=1),
        "evaluate": lambda *_: (0.0, 0.0, 0, np.zeros(1)),
    } | sizes | told | logs | silent | sets | loaders | rates  # fmt: skip


def _softmax(values: Tensor) -> Any:
    """Return the softmax; that of label vectors takes no notice of what is added to it."""
    result = values.softmax(dim=1)
    return _Unshifted(result) if values.is_leaf else result


class _Unshifted:
    """Labels that only ever have a small number added to them."""

    def __init__(self, labels: Tensor) -> None:
        self.labels = labels

    def __add__(self, _: float) -> Tensor:
        return self.labels
