"""Two sides of a case, how far they are apart, and what that means."""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pipelines.official.clones import NotComparable

TOLERANCE = 1e-12
"""Relative difference up to which two float64 computations of the same thing agree."""

STEPS = (1, 6)
"""After how many steps the sides are compared."""

State = dict[str, list[Tensor]]
"""Part (``student: weights``, ``teacher: weights``, ``labels`` ...) -> its tensors, in the same order on both sides."""

STATISTICS = "running statistics"
"""Ends the name of a part that holds a network's buffers of batch norm."""

AGREES, EXPLAINED, DIFFERS = "agrees", "explained", "differs"


@dataclass(frozen=True)
class Case:
    """One thing that an official function and ours both do.

    Attributes
    ----------
    name : str
    ours : callable
        Number of steps -> state after them.
    official : callable
        Number of steps and whether the named defects are undone -> state after them.
    defects : tuple of str
        What the official code does that ours, as compared here, does not.
    steps : tuple of int
    """

    name: str
    ours: Callable[[int], State]
    official: Callable[[int, bool], State]
    defects: tuple[str, ...] = ()
    steps: tuple[int, ...] = STEPS


class Difference(NamedTuple):
    """How far one part is apart.

    Attributes
    ----------
    steps : int
    part : str
    as_it_is : float
        Relative difference from the official code as it is.
    undone : float or None
        From the official code with the case's defects undone; None for a case without.
    """

    steps: int
    part: str
    as_it_is: float
    undone: float | None

    @property
    def verdict(self) -> str:
        """Return whether the sides agree, agree once named defects are undone, or differ."""
        if self.as_it_is <= TOLERANCE:
            return AGREES
        return EXPLAINED if self.undone is not None and self.undone <= TOLERANCE else DIFFERS


def compare(case: Case) -> list[Difference]:
    """Run both sides of a case and return how far each part is apart after each number of steps.

    Raises
    ------
    NotComparable
        If the official code does not run.
    """
    differences = []
    for steps in case.steps:
        with double_precision():
            ours = case.ours(steps)
        as_it_is = state_differences(ours, _official(case, steps, undone=False))
        undone = state_differences(ours, _official(case, steps, undone=True)) if case.defects else {}
        differences += [Difference(steps, part, as_it_is[part], undone.get(part)) for part in ours]
    return differences


def _official(case: Case, steps: int, *, undone: bool) -> State:
    try:
        with double_precision(), silence():
            return case.official(steps, undone)
    except NotComparable:
        raise
    except Exception as error:  # whatever the official code may raise
        raise NotComparable(
            f"{case.name}: the official code no longer runs: {type(error).__name__}: {error}"
        ) from error


def state_differences(ours: State, official: State) -> dict[str, float]:
    """Return the largest relative difference of each part.

    Raises
    ------
    ValueError
        If the sides have other parts, or a part other tensors: the adapter compares what is not the same thing.
    """
    if list(ours) != list(official):
        raise ValueError(f"parts differ: {list(ours)} and {list(official)}")
    return {part: _largest(ours[part], official[part]) for part in ours}


def _largest(ours: Sequence[Tensor], official: Sequence[Tensor]) -> float:
    return max(relative_difference(*pair) for pair in zip(ours, official, strict=True))


def relative_difference(ours: Tensor, official: Tensor) -> float:
    """Return ``max |a - b| / max(|a|, |b|)`` over the elements of two tensors of one shape.

    0 for two tensors of zeros, 2 for opposite ones; 1 also if a value is not finite.
    """
    if ours.shape != official.shape:
        raise ValueError(f"shapes differ: {list(ours.shape)} and {list(official.shape)}")
    a, b = ours.detach().double(), official.detach().double()
    if not (torch.isfinite(a).all() and torch.isfinite(b).all()):
        return 1.0
    scale = max(a.abs().max().item(), b.abs().max().item()) if a.numel() else 0.0
    return (a - b).abs().max().item() / scale if scale else 0.0


def network_state(name: str, network: nn.Module) -> State:
    """Return the weights of a network and, where it has any, its running statistics."""
    statistics = [value.clone() for value in network.buffers() if value.is_floating_point()]
    state = {f"{name}: weights": [value.detach().clone() for value in network.parameters()]}
    return state | ({f"{name}: {STATISTICS}": statistics} if statistics else {})


def momentum_state(name: str, optimiser: torch.optim.Optimizer, parameters: Sequence[Tensor]) -> State:
    """Return the momentum buffers of an optimiser, in the order of `parameters`."""
    return {f"{name}: momentum": [optimiser.state[value]["momentum_buffer"].clone() for value in parameters]}


@contextlib.contextmanager
def double_precision() -> Iterator[None]:
    """Make float64 the default inside the block, and leave the global random states as they were."""
    before, numpy_state = torch.get_default_dtype(), np.random.get_state()
    try:
        torch.set_default_dtype(torch.float64)
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_default_dtype(before)
        np.random.set_state(numpy_state)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Swallow what official code prints and warns of."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
