"""C2D: the public code's whole training on CIFAR, without its encoders."""

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from emlc.engine.contract import Batch
from pipelines.official import divided, ours
from pipelines.official.clones import Repository
from pipelines.official.comparison import Case, State
from pipelines.official.mixtures import mixtures
from pipelines.official.source import Definitions, load, needed
from pipelines.official.streams import Loader, Source, Whole

REPOSITORY = Repository("ContrastToDivide", "C2D", "38053869b77c1544349c53ba6f3c1325254aa413")

FORGOTTEN = "averaged losses are also those after epochs of the warm-up"
RELEASED = {"late_division": True}


def cases(clone: Path) -> Iterator[Case]:
    """Yield both kinds of warm-up, no unlabelled loss, and averaged losses, all with the released option."""
    files = _files(clone)
    for name, changes, epochs, defects in (
        ("training, released option", {}, 3, ()),
        ("entropy rewarded, released option", {"entropy_bonus": True}, 2, ()),
        ("lambda_u = 0, released option", {"unlabelled_weight": 0.0, "labelled_only": True}, 2, ()),
        ("losses averaged, released option", {"loss_epochs": 5}, 3, (FORGOTTEN,)),
    ):
        chosen = divided.options(**RELEASED, **changes)
        yield Case(name, partial(_ours, chosen, epochs), partial(_official, files, chosen, epochs), defects)


def _files(clone: Path) -> dict[str, Definitions]:
    """Return definitions by file; what one file imports of another is given to it."""
    files = {name: load(clone, name) for name in ("train.py", "train_cifar.py")}
    files["main_cifar.py"] = load(clone, "main_cifar.py", {"torch": torch, "F": F})
    files["train_cifar.py"].update({name: needed(files["train.py"], name) for name in ("train", "warmup")})
    return files


def _make(chosen: dict[str, Any]) -> Any:
    return ours.make("baselines.c2d", chosen, divided.recipe())


def _ours(chosen: dict[str, Any], epochs: int, steps: int) -> State:
    return divided.train(_make(chosen), steps, epochs)


def _official(files: dict[str, Definitions], chosen: dict[str, Any], epochs: int, steps: int, undone: bool) -> State:
    """Return what the official loop leaves, which trains one epoch more than it is told."""
    initial, loader = _make(chosen), _Loader(steps)
    networks, optimisers = divided.official_pair(initial)
    args, fitted = divided.arguments(initial.options), []
    shared = divided.draws(ours.generator(ours.DRAWN)) | {"GaussianMixture": mixtures(fitted)}
    for definitions in files.values():
        definitions.update(shared)
    loop, main = files["train_cifar.py"], files["main_cifar.py"]
    loop["official_eval_train"] = loop.get("official_eval_train", needed(loop, "eval_train"))
    loop["eval_train"] = partial(_forgetful, loop["official_eval_train"]) if undone else loop["official_eval_train"]
    schedules = [torch.optim.lr_scheduler.StepLR(optimiser, divided.EPOCHS) for optimiser in optimisers]
    needed(loop, "run_train_loop")(
        networks[0], optimisers[0], schedules[0], networks[1], optimisers[1], schedules[1],
        needed(main, "SemiLoss")(), nn.CrossEntropyLoss(), nn.CrossEntropyLoss(reduction="none"), loader,
        initial.options.threshold, divided.WARM_UP, epochs - 1, [[], []], args.batch_size, args.num_class, "cpu",
        args.lambda_u, args.T, args.alpha, args.noise_mode, args.dataset, args.r,
        needed(main, "NegEntropy")() if initial.options.entropy_bonus else None,
        io.StringIO(), io.StringIO(), io.StringIO(),
    )  # fmt: skip
    return divided.state(networks, optimisers, fitted[:-3:-1], loader.credibility[:-3:-1])


def _forgetful(eval_train: Any, model: Any, eval_loader: Any, loss: Any, history: Any, epoch: int, *given: Any) -> Any:
    """Model losses, but remember none of the warm-up."""
    probabilities, history, clean = eval_train(model, eval_loader, loss, history, epoch, *given)
    return probabilities, [] if epoch < divided.WARM_UP else history, clean


class _Loader:
    """What the official loop asks for all its batches; notes the probabilities that it divides by.

    True labels, which only its reports use, are the given ones.
    """

    def __init__(self, steps: int) -> None:
        self.given = Source("given", 1, steps)
        self.sources = [Source(name, 2, steps) for name in ("labelled", "unlabelled")]
        self.credibility: list[Any] = []

    def run(self, mode: str, chosen: Any = None, credibility: Any = None) -> Any:
        """Return a loader, or those of labelled and unlabelled samples."""
        if mode == "train":
            return self._divided(torch.from_numpy(chosen), credibility)
        if mode == "warmup":
            return Loader(self.given, lambda batch: (batch.inputs, None, batch.labels, batch.indices, None))
        if mode == "test":
            return Whole(lambda batch: (batch.inputs, batch.labels))
        return Whole(lambda batch: (batch.inputs, None, batch.labels, batch.indices, batch.labels))

    def _divided(self, chosen: Tensor, credibility: Any) -> list[Loader]:
        self.credibility.append(credibility)
        for source, part in zip(self.sources, (chosen, ~chosen), strict=True):
            source.over(part.nonzero().flatten())
        credits = torch.from_numpy(credibility)

        def labelled(batch: Batch) -> tuple[Any, ...]:
            return (*batch.views, batch.labels, None, credits[batch.indices])

        return [Loader(self.sources[0], labelled), Loader(self.sources[1], lambda batch: batch.views)]
