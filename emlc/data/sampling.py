"""Which images of a large, unbalanced noisy set a pass goes over, and in which order.

The variants of the field on Clothing1M. Classes are those of the given, noisy labels: the true ones nobody knows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from emlc.records.errors import SuiteError

Draw = Callable[[torch.Generator], Tensor]
"""Generator (on the CPU) to the positions of one pass [L] of int64, L always the same."""


def every_image(labels: Tensor) -> Draw:
    """Go over all images (S0: MLNT, MSLG, Self Learning, EMLC)."""
    return lambda generator: torch.randperm(len(labels), generator=generator)


def balanced_anew(labels: Tensor, count: int) -> Draw:
    """Draw `count` images for every pass, each class equally often (S1: DivideMix, C2D, AugDesc, SANM, FaMUS).

    Parameters
    ----------
    labels : Tensor [N] of int64
    count : int
        Images of a pass. Each class gets ``count // C``, the largest ones one more while some are left; a class that
        has fewer gives all it has.

    Raises
    ------
    SuiteError
        If `count` is below the number of classes.
    """
    return _Balanced(labels, _quotas(labels, count))


def balanced_once(labels: Tensor, count: int, seed: int) -> Draw:
    """Draw `count` images once, as :func:`balanced_anew`, and go over these (S2: ELR+, a `seed` for each network)."""
    return _Kept(_Balanced(labels, _quotas(labels, count)), seed)


def cut_to_smallest(labels: Tensor, seed: int) -> Draw:
    """Cut every class to the size of the smallest, once, and go over these (S3: PLC, PENCIL, MSLG's balanced set).

    Raises
    ------
    SuiteError
        If a class below the largest label has no image.
    """
    sizes = _sizes(labels)
    if not sizes.all():
        raise SuiteError(f"class {int(sizes.argmin())} has no image: classes cannot be cut to the size of the smallest")
    return _Kept(_Balanced(labels, torch.full_like(sizes, int(sizes.min()))), seed)


@dataclass(frozen=True, eq=False)
class _Balanced:
    """As many random images of each class as it is allowed, in random order."""

    labels: Tensor
    quotas: Tensor

    def __call__(self, generator: torch.Generator) -> Tensor:
        order = torch.randperm(len(self.labels), generator=generator)
        grouped = order[self.labels[order].argsort(stable=True)]
        sizes = _sizes(self.labels)
        firsts = sizes.cumsum(0) - sizes
        rank = torch.arange(len(order)) - firsts.repeat_interleave(sizes)
        chosen = grouped[rank < self.quotas.repeat_interleave(sizes)]
        return chosen[torch.randperm(len(chosen), generator=generator)]


class _Kept:
    """What another draw gave once, in a new order each time."""

    def __init__(self, draw: Draw, seed: int) -> None:
        self.chosen = draw(torch.Generator().manual_seed(seed)).sort().values

    def __call__(self, generator: torch.Generator) -> Tensor:
        return self.chosen[torch.randperm(len(self.chosen), generator=generator)]


def _quotas(labels: Tensor, count: int) -> Tensor:
    sizes = _sizes(labels)
    if count < len(sizes):
        raise SuiteError(f"{count} images cannot be of {len(sizes)} classes equally often; ask for more")
    quotas = torch.full_like(sizes, count // len(sizes))
    quotas[sizes.argsort(descending=True, stable=True)[: count % len(sizes)]] += 1
    return torch.minimum(quotas, sizes)


def _sizes(labels: Tensor) -> Tensor:
    return torch.bincount(labels)


class Batches:
    """Endless passes in full batches, each with a seed of its own; what is left over differs from pass to pass.

    Parameters
    ----------
    draw : callable
        The positions of a pass.
    size : int
        Of a batch; a whole pass if that is smaller.
    generator : torch.Generator
        On the CPU; all randomness comes from it.
    """

    def __init__(self, draw: Draw, size: int, generator: torch.Generator) -> None:
        self.draw = draw
        self.generator = generator
        self.order = draw(generator)
        self.size = min(size, len(self.order))
        self.position = 0

    @property
    def batches_per_pass(self) -> int:
        """Full batches in one pass."""
        return len(self.order) // self.size

    def next(self) -> tuple[Tensor, int]:
        """Return the positions [size] of the next batch, and its seed: for all that is random about its images."""
        if self.position + self.size > len(self.order):
            self.order, self.position = self.draw(self.generator), 0
        self.position += self.size
        seed = int(torch.randint(2**63 - 1, (), generator=self.generator))
        return self.order[self.position - self.size : self.position], seed

    def state(self) -> dict[str, Any]:
        """Return everything that decides the batches to come."""
        return {"order": self.order, "position": self.position, "generator": self.generator.get_state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self.order, self.position = state["order"], state["position"]
        self.generator.set_state(state["generator"])
