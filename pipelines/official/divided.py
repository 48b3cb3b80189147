"""What the comparisons of DivideMix, its descendants and FaMUS share: random draws, scripts, two networks' states."""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from baselines.mixup import mixup_coefficient
from emlc.engine.contract import Batch
from pipelines.official import ours
from pipelines.official.comparison import State, momentum_state, network_state
from pipelines.official.mixtures import mixtures
from pipelines.official.source import Definitions, needed
from pipelines.official.streams import Loader, Source, Whole

EPOCHS, WARM_UP, RAMP = 300, 1, 16
"""Of a run; 16 epochs of ramp are written into the official functions."""
OFFICIAL_SIZE = 50_000
"""Samples of CIFAR, for as many of which the official functions make room."""


def recipe(**changes: Any) -> Any:
    """Return the training of both sides."""
    return ours.training(epochs=EPOCHS, lr=0.02, **changes)


def options(**changes: Any) -> dict[str, Any]:
    """Return options of the family with one epoch of warm-up."""
    return {"warm_up": WARM_UP / EPOCHS, "ramp": RAMP / EPOCHS, "batch_share": 1.0} | changes


class Instead:
    """A module, some of whose functions are others."""

    def __init__(self, module: Any, **others: Any) -> None:
        self.__dict__.update(others)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        """Return what is as it was."""
        return getattr(self._module, name)


def draws(drawn: torch.Generator) -> Definitions:
    """Return PyTorch and NumPy as official functions shall see them: they draw what our methods draw, from `drawn`.

    Room for as many losses as CIFAR has samples is room for ours, and nothing is written to disk.
    """

    def zeros(*size: Any, **kinds: Any) -> Tensor:
        return torch.zeros(*((ours.NOISY_SAMPLES,) if size == (OFFICIAL_SIZE,) else size), **kinds)

    def beta(alpha: float, _: float) -> float:
        return float(mixup_coefficient(alpha, drawn))

    return {
        "np": Instead(np, random=Instead(np.random, beta=beta)),
        "torch": Instead(
            torch, zeros=zeros, randperm=lambda n: torch.randperm(n, generator=drawn), save=lambda *_: None
        ),
    }


def train(method: Any, steps: int, epochs: int) -> State:
    """Let our method warm up and learn from divided samples, and return what both sides are compared by.

    Parameters
    ----------
    method : CoDivision
    steps : int
        Of each network in an epoch.
    epochs : int
    """
    learn(method, steps, epochs)
    return our_state(method, method.networks)


def learn(method: Any, steps: int, epochs: int) -> None:
    """Train a method as :func:`train` does."""
    views = len(method.views)
    method.given = Source("given", 1, steps)
    method.labelled, method.unlabelled = (Source(name, views, steps) for name in ("labelled", "unlabelled"))
    for epoch in range(epochs):
        method.begin_epoch(epoch)
        taken = 0
        while taken < method.steps():
            method.step()
            taken += 1


def our_state(method: Any, networks: Sequence[nn.Module]) -> State:
    """Return what is compared of ours; `networks` are what the optimisers train."""
    losses = [torch.stack(history).mean(dim=0) for history in method.losses]
    return state(networks, method.optimisers, losses, method.credibility)


def state(
    networks: Sequence[nn.Module],
    optimisers: Sequence[torch.optim.Optimizer],
    losses: Sequence[Tensor],
    credibility: Sequence[Any],
) -> State:
    """Return what both sides are compared by."""
    parts: State = {}
    for name, network, optimiser in zip(("first", "second"), networks, optimisers, strict=True):
        parts |= network_state(name, network)
        parts |= momentum_state(name, optimiser, list(network.parameters()))
    return parts | {
        "modelled losses": [value.clone() for value in losses],
        "probabilities of a low loss": [torch.as_tensor(value) for value in credibility],
    }


def as_it_is(network: nn.Module) -> nn.Module:
    """Return a network, where the official functions ask for no other interface."""
    return network


def official_pair(
    initial: Any, wrap: Callable[[nn.Module], nn.Module] = as_it_is
) -> tuple[list[nn.Module], list[torch.optim.Optimizer]]:
    """Return copies of a method's networks behind an official interface, and the optimisers that scripts give them."""
    networks, told = [wrap(copy.deepcopy(network)) for network in initial.networks], initial.setting.training
    named = {"momentum": told.momentum, "weight_decay": told.weight_decay, "nesterov": told.nesterov}
    return networks, [torch.optim.SGD(network.parameters(), lr=told.lr, **named) for network in networks]


class Official:
    """What an official script does around its functions.

    Parameters
    ----------
    script : mapping
        Its functions ``warmup``, ``eval_train`` and ``train``.
    initial : Method
        Ours in its initial state, with the same options.
    wrap : callable
        A network to one with the script's interface.
    """

    streams: tuple[str, ...] = ("labelled", "unlabelled")
    """What an epoch on divided samples has batches of."""

    def __init__(self, script: Definitions, initial: Any, wrap: Callable[[nn.Module], nn.Module] = as_it_is) -> None:
        self.script, self.options, self.views = script, initial.options, len(initial.views)
        self.networks, self.optimisers = official_pair(initial, wrap)
        self.credibility: list[Any] = [None, None]
        self.histories: list[list[Tensor]] = [[], []]
        self.fitted: list[Tensor] = []
        script.update(draws(ours.generator(ours.DRAWN)), GaussianMixture=mixtures(self.fitted))
        script.update(args=arguments(initial.options), **self._made_by_the_script())

    def _made_by_the_script(self) -> Definitions:
        """Return the globals that the script makes outside its functions."""
        return {
            "warm_up": WARM_UP,
            "criterion": needed(self.script, "SemiLoss")() if "SemiLoss" in self.script else None,
            "conf_penalty": needed(self.script, "NegEntropy")(),
            "CE": nn.CrossEntropyLoss(reduction="none"),
            "CEloss": nn.CrossEntropyLoss(),
            "eval_loader": Whole(lambda batch: (batch.inputs, batch.labels, batch.indices)),
        }

    def train(self, steps: int, epochs: int) -> State:
        """Train as the script does."""
        given = Loader(Source("given", 1, steps), lambda batch: (batch.inputs, batch.labels, batch.indices))
        sources = [Source(name, self.views, steps) for name in self.streams]
        for epoch in range(epochs):
            if epoch < WARM_UP:
                for network, optimiser in zip(self.networks, self.optimisers, strict=True):
                    self.warm_up(epoch, network, optimiser, given)
                continue
            self.credibility = [self.assess(epoch, number) for number in (0, 1)]
            for turn in (0, 1):
                self.learn(epoch, turn, sources)
        return state(self.networks, self.optimisers, self.fitted[-2:], self.credibility)

    def learn(self, epoch: int, turn: int, sources: list[Source]) -> None:
        """Let a network learn from the division by its peer."""
        credibility = torch.as_tensor(self.credibility[1 - turn])
        above = credibility > self.options.threshold
        for source, chosen in zip(sources, (above, ~above), strict=True):
            source.over(chosen.nonzero().flatten())
        unpacks = (partial(unpack, credibility) for unpack in (self.labelled, self.unlabelled))
        loaders = [Loader(source, unpack) for source, unpack in zip(sources, unpacks, strict=True)]
        learner, peer = self.networks[turn], self.networks[1 - turn]
        needed(self.script, "train")(epoch, learner, peer, self.optimisers[turn], *loaders)

    def warm_up(self, epoch: int, *given: Any) -> None:
        """Let a network learn from all given labels."""
        needed(self.script, "warmup")(epoch, *given)

    def assess(self, epoch: int, number: int) -> Any:
        """Return the probabilities of a low loss [N] by a network."""
        return needed(self.script, "eval_train")(self.networks[number], self.histories[number])[0]

    @staticmethod
    def labelled(credibility: Tensor, batch: Batch) -> tuple[Any, ...]:
        """Return a batch as the loader of labelled samples gives it."""
        return (*batch.views, batch.labels, credibility[batch.indices])

    @staticmethod
    def unlabelled(credibility: Tensor, batch: Batch) -> tuple[Any, ...]:
        """Return a batch as the loader of unlabelled samples gives it."""
        return batch.views


def arguments(chosen: Any) -> SimpleNamespace:
    """Return a script's arguments for a method's options."""
    told = {"batch_size": ours.NOISY_BATCH, "num_class": ours.CLASSES, "num_epochs": EPOCHS, "dataset": "cifar10"}
    named = {"alpha": chosen.alpha, "T": chosen.temperature, "lambda_u": chosen.unlabelled_weight}
    sizes = {"num_batches": ours.NOISY_SAMPLES // ours.NOISY_BATCH, "warm_up": WARM_UP}
    averaged = chosen.loss_epochs > 1
    noise = {"noise_mode": "asym" if chosen.entropy_bonus else "sym", "r": 0.9 if averaged else 0.5}
    return SimpleNamespace(**told, **named, **sizes, **noise, average_loss=averaged * chosen.loss_epochs)
