"""Batches that our methods and official functions of co-division both draw, as a stream and as an official loader."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from emlc.engine.contract import Batch
from pipelines.official import ours

TOLD = ("given", "labelled", "unlabelled", "pseudo-clean")
"""The streams of a run."""


class Source:
    """A stream whose batches are made here: the same on both sides, if both let it draw from the same samples.

    Parameters
    ----------
    name : str
        One of :data:`TOLD`.
    views : int
        Of every sample.
    steps : int
        Batches in a pass.
    """

    def __init__(self, name: str, views: int, steps: int) -> None:
        self.salt, self.views, self.batches_per_pass = TOLD.index(name) + 1, views, steps
        self.largest, self.taken = ours.NOISY_BATCH, 0
        self.members = torch.arange(ours.NOISY_SAMPLES)

    def over(self, members: Tensor) -> None:
        """Draw from some samples from now on."""
        self.members = members

    def next(self) -> Batch:
        """Return the next batch, under other views than any before."""
        draw = ours.generator(1000 * self.salt + self.taken)
        self.taken += 1
        indices = self.members[torch.randint(len(self.members), (self.largest,), generator=draw)]
        size = (self.largest, ours.CHANNELS, ours.SIZE, ours.SIZE)
        views = tuple(torch.randn(size, generator=draw) for _ in range(self.views))
        return Batch(views, ours.noisy_labels()[indices], indices)


class Loader:
    """A stream as an official loader: passes of so many batches, each as `unpack` has it.

    Iterators also have the `next` of old PyTorch. The set is as large as makes the official count of steps, a pass
    with its last, incomplete batch, the number of steps.
    """

    def __init__(self, source: Source, unpack: Callable[[Batch], tuple[Any, ...]]) -> None:
        self.source, self.unpack = source, unpack
        self.batch_size = ours.NOISY_BATCH
        self.dataset = range(source.batches_per_pass * self.batch_size - 1)

    def __len__(self) -> int:
        """Batches of a pass."""
        return self.source.batches_per_pass

    def __iter__(self) -> "_Pass":
        """Begin a pass."""
        return _Pass(self)


class _Pass:
    def __init__(self, loader: Loader) -> None:
        self.loader, self.left = loader, len(loader)

    def __iter__(self) -> "_Pass":
        return self

    def __next__(self) -> tuple[Any, ...]:
        if not self.left:
            raise StopIteration
        self.left -= 1
        return self.loader.unpack(self.loader.source.next())

    next = __next__


class Whole(list[Any]):
    """All samples once, in batches as an official loader gives them."""

    def __init__(self, unpack: Callable[[Batch], tuple[Any, ...]]) -> None:
        noisy = ours.noisy_set()
        chunks = torch.arange(len(noisy)).split(ours.NOISY_BATCH)
        super().__init__(unpack(noisy.batch(chunk, ("plain",), None)) for chunk in chunks)
        self.dataset = range(len(noisy))
