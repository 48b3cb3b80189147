"""Which images of a large, unbalanced noisy set a pass goes over, and in which order.

The variants of the field on Clothing1M. Classes are those of the given, noisy labels: the true ones nobody knows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from emlc.records.errors import SuiteError

Draw = Callable[[torch.Generator], Tensor]
"""Generator, on the device of the labels, to the positions of one pass [L] of int64, L always the same."""


@dataclass(frozen=True, eq=False)
class Sampling:
    """Which samples of a set the passes of a stream go over.

    Attributes
    ----------
    kept : Tensor [N] of bool or None
        Those that were drawn once, before the first pass; None: all.
    count : int or None
        Samples that each pass draws anew, each class equally often (:func:`balanced_anew`); None: all.
    """

    kept: Tensor | None = None
    count: int | None = None

    def members(self, indices: Tensor) -> Tensor:
        """Return those of the samples at `indices` [m] that passes may go over."""
        return indices if self.kept is None else indices[self.kept[indices]]

    def draw(self, labels: Tensor) -> Draw:
        """Return how a pass over samples with these labels [m] is drawn.

        Raises
        ------
        SuiteError
            If `count` is below the number of classes.
        """
        return every_image(labels) if self.count is None else balanced_anew(labels, self.count)


WHOLE = Sampling()
"""All samples in every pass."""


def every_image(labels: Tensor) -> Draw:
    """Go over all images (S0: MLNT, MSLG, Self Learning, EMLC)."""
    return lambda generator: _permutation(len(labels), generator)


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


def sampling(name: str, labels: Tensor, count: int | None, seed: int) -> Sampling:
    """Return a variant by its name.

    Parameters
    ----------
    name : str
        Key of :data:`SAMPLINGS`.
    labels : Tensor [N] of int64
    count : int or None
        Images of a pass, for the balanced variants and for no others.
    seed : int
        Decides what is drawn once.

    Raises
    ------
    SuiteError
        If there is no such variant, `count` is missing, too much or too small, or a class has no image to be cut to.
    """
    if name not in SAMPLINGS:
        raise SuiteError(f"unknown sampling {name!r}; known: {', '.join(SAMPLINGS)}")
    if (count is not None) != (name in COUNTED):
        raise SuiteError(
            f"sampling {name} {'needs the number of images of a pass' if count is None else 'counts itself'}"
        )
    return SAMPLINGS[name](labels, count or 0, seed)


def _drawn_anew(labels: Tensor, count: int, _: int) -> Sampling:
    balanced_anew(labels, count)  # refuses a count that is too small before the first pass
    return Sampling(count=count)


SAMPLINGS: Mapping[str, Callable[[Tensor, int, int], Sampling]] = {
    "all": lambda _, __, ___: WHOLE,
    "balanced-anew": _drawn_anew,
    "balanced-once": lambda labels, count, seed: _keeping(labels, _quotas(labels, count), seed),
    "cut-to-smallest": lambda labels, _, seed: _keeping(labels, _smallest(labels), seed),
}
"""The variants by the name that profiles use: labels, images of a pass and seed to a sampling.

S2 (ELR+, a seed for each network) draws once, as S1 does for every pass; S3 (PLC, PENCIL, the balanced set of MSLG)
cuts every class to the size of the smallest, once.
"""

COUNTED = ("balanced-anew", "balanced-once")
"""Those that are told how many images a pass has."""


@dataclass(frozen=True, eq=False)
class _Balanced:
    """As many random images of each class as it is allowed, in random order."""

    labels: Tensor
    quotas: Tensor

    def __call__(self, generator: torch.Generator) -> Tensor:
        order = _permutation(len(self.labels), generator)
        grouped = order[self.labels[order].argsort(stable=True)]
        sizes = _sizes(self.labels)
        firsts = sizes.cumsum(0) - sizes
        rank = torch.arange(len(order), device=order.device) - firsts.repeat_interleave(sizes)
        chosen = grouped[rank < self.quotas.repeat_interleave(sizes)]
        return chosen[_permutation(len(chosen), generator)]


def _once(labels: Tensor, quotas: Tensor, seed: int) -> Tensor:
    """Return positions that are drawn for good, ascending."""
    return _Balanced(labels, quotas)(torch.Generator(labels.device).manual_seed(seed)).sort().values


def _keeping(labels: Tensor, quotas: Tensor, seed: int) -> Sampling:
    kept = torch.zeros(len(labels), dtype=torch.bool, device=labels.device)
    kept[_once(labels, quotas, seed)] = True
    return Sampling(kept)


def _permutation(count: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(count, generator=generator, device=generator.device)


def _quotas(labels: Tensor, count: int) -> Tensor:
    sizes = _sizes(labels)
    if count < len(sizes):
        raise SuiteError(f"{count} images cannot be of {len(sizes)} classes equally often; ask for more")
    quotas = torch.full_like(sizes, count // len(sizes))
    quotas[sizes.argsort(descending=True, stable=True)[: count % len(sizes)]] += 1
    return torch.minimum(quotas, sizes)


def _smallest(labels: Tensor) -> Tensor:
    sizes = _sizes(labels)
    if not sizes.all():
        raise SuiteError(f"class {int(sizes.argmin())} has no image: classes cannot be cut to the size of the smallest")
    return torch.full_like(sizes, int(sizes.min()))


def _sizes(labels: Tensor) -> Tensor:
    return torch.bincount(labels)
