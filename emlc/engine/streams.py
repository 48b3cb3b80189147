"""Batches: shuffled, augmented on the device, from streams whose whole state a checkpoint can hold."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from emlc.engine.contract import Batch

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
"""uint8 images [n, C, H, W] and a generator to normalised float inputs [n, C, H, W]."""


@dataclass(frozen=True)
class ImageSet:
    """Images and labels, resident on the device.

    Attributes
    ----------
    images : Tensor [N, C, H, W] of uint8
    labels : Tensor [N] of int64
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.labels)


class Stream:
    """Endless shuffled passes over one set, in full batches; what is left over differs from pass to pass.

    Parameters
    ----------
    samples : ImageSet
    size : int
        Batch size; the whole set if that is smaller.
    augmentation : callable
    generator : torch.Generator
        On the device of `samples`: order and augmentation are drawn from it.
    """

    def __init__(self, samples: ImageSet, size: int, augmentation: Augmentation, generator: torch.Generator) -> None:
        self.samples = samples
        self.size = min(size, len(samples))
        self.augmentation = augmentation
        self.generator = generator
        self.order = self._shuffled()
        self.position = 0

    @property
    def batches_per_pass(self) -> int:
        """Full batches in one pass."""
        return len(self.samples) // self.size

    def next(self) -> Batch:
        """Return the next augmented batch."""
        indices = self._next_indices()
        images = self.samples.images[indices]
        return Batch(self.augmentation(images, self.generator), self.samples.labels[indices], indices)

    def state(self) -> dict[str, Any]:
        """Return everything that decides the batches to come."""
        return {"order": self.order, "position": self.position, "generator": self.generator.get_state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self.order, self.position = state["order"].to(self.order.device), state["position"]
        self.generator.set_state(state["generator"])

    def _next_indices(self) -> Tensor:
        if self.position + self.size > len(self.order):
            self.order, self.position = self._reshuffled(), 0
        self.position += self.size
        return self.order[self.position - self.size : self.position]

    def _reshuffled(self) -> Tensor:
        return self._shuffled()

    def _shuffled(self) -> Tensor:
        return torch.randperm(len(self.samples), generator=self.generator, device=self.generator.device)


class FixedOrderStream(Stream):
    """Passes as the released code makes them: the same order, and the same samples left out, every time."""

    def _reshuffled(self) -> Tensor:
        return self.order


class BalancedStream(Stream):
    """Batches with every class equally often (``size // C`` times, at least once), classes in ascending order."""

    def _next_indices(self) -> Tensor:
        per_class = max(1, self.size // len(self._classes))
        return torch.cat([self._draw(members, per_class) for members in self._classes])

    @cached_property
    def _classes(self) -> list[Tensor]:
        """Positions of each class's samples; finding them makes a GPU wait, so once only."""
        labels = self.samples.labels
        return [torch.nonzero(labels == label).flatten() for label in labels.unique()]

    def _draw(self, members: Tensor, count: int) -> Tensor:
        order = torch.randperm(len(members), generator=self.generator, device=self.generator.device)
        return members[order[:count]]


STREAMS: dict[str, type[Stream]] = {"reshuffled": Stream, "fixed": FixedOrderStream}
"""A protocol's ``order`` -> class."""
