"""Batches without end: shuffled, augmented on the device, from streams whose whole state a checkpoint can hold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from emlc.engine.sampling import WHOLE, Sampling
from emlc.models import processes
from emlc.records.errors import SuiteError

View = Callable[[Tensor, torch.Generator], Tensor]
"""uint8 images [n, C, H, W] and a generator to normalised float inputs [n, C, H, W]."""


@dataclass(frozen=True)
class Batch:
    """Some samples of one set, ready for a network.

    Attributes
    ----------
    views : tuple of Tensor [n, C, H, W] of float
        The same images, each time under another augmentation, in the order in which the stream was asked for them.
    labels : Tensor [n] of int64
        Noisy labels for the noisy set, true ones for the clean set.
    indices : Tensor [n] of int64
        Each sample's position in its set.
    """

    views: tuple[Tensor, ...]
    labels: Tensor
    indices: Tensor

    @property
    def inputs(self) -> Tensor:
        """The first view."""
        return self.views[0]

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.labels)

    def __getitem__(self, part: slice) -> "Batch":
        """Return some of the samples."""
        return Batch(tuple(view[part] for view in self.views), self.labels[part], self.indices[part])


class Drawable(Protocol):
    """A set that batches can be made of (:class:`emlc.engine.samples.Samples`)."""

    labels: Tensor

    def batch(self, indices: Tensor, views: tuple[str, ...], generator: torch.Generator) -> Batch:
        """Return the samples at `indices`, augmented."""

    def shared(self, indices: Tensor, views: tuple[str, ...], generator: torch.Generator) -> Batch:
        """Return this process's part of the samples at `indices`, augmented as the whole."""

    def expect(self, reader: Any, batches: Sequence[Tensor]) -> None:
        """Be told which batches of indices `reader` will ask for next."""


class Stream:
    """Endless shuffled passes over a set, in full batches; what is left over differs from pass to pass.

    Parameters
    ----------
    samples : Samples
    size : int
        Batch size; all samples if they are fewer.
    views : tuple of str
        Names of the augmentations, each of which is drawn anew for every batch.
    generator : torch.Generator
        On the device of `samples`: order and augmentation are drawn from it, and nothing else is.
    sampling : Sampling
        Which of the samples a pass goes over.
    """

    def __init__(
        self,
        samples: Drawable,
        size: int,
        views: tuple[str, ...],
        generator: torch.Generator,
        sampling: Sampling = WHOLE,
    ) -> None:
        self.samples, self.views, self.generator, self.sampling = samples, views, generator, sampling
        self.largest = size
        self.over(torch.arange(len(samples.labels), device=samples.labels.device))

    def over(self, indices: Tensor) -> None:
        """Begin a new pass, and draw from now on only the samples at `indices` [m].

        Raises
        ------
        SuiteError
            If there are none.
        """
        self._draw_from(self.sampling.members(indices))
        self.order, self.position = self._shuffled(), 0
        self._announce()

    @property
    def size(self) -> int:
        """Samples in a batch."""
        return min(self.largest, len(self.order))

    @property
    def batches_per_pass(self) -> int:
        """Full batches in one pass."""
        return len(self.order) // self.size

    def next(self) -> Batch:
        """Return the next augmented batch; this process's part of it where several share the training."""
        return self.samples.shared(self._next_indices(), self.views, self.generator)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that decides the batches to come."""
        generator = self.generator.get_state()
        return {"members": self.members, "order": self.order, "position": self.position, "generator": generator}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        device = self.order.device
        self._draw_from(state["members"].to(device))
        self.order = state["order"].to(device)
        self.position = state["position"]
        self.generator.set_state(state["generator"])
        self._announce()

    def _draw_from(self, members: Tensor) -> None:
        if not len(members):
            raise SuiteError("no sample is left to draw batches from; the method's threshold keeps none")
        self.members = members
        self.drawn = self.sampling.draw(self.samples.labels[members])

    def _announce(self) -> None:
        """Say what is left of this pass."""
        self.samples.expect(self, [processes.part(batch) for batch in self.order[self.position :].split(self.size)])

    def _next_indices(self) -> Tensor:
        if self.position + self.size > len(self.order):
            self.order, self.position = self._reshuffled(), 0
            self._announce()
        self.position += self.size
        return self.order[self.position - self.size : self.position]

    def _reshuffled(self) -> Tensor:
        return self._shuffled()

    def _shuffled(self) -> Tensor:
        return self.members[self.drawn(self.generator)]


class FixedOrderStream(Stream):
    """Passes as the released code makes them: the same order, and the same samples left out, every time."""

    def _reshuffled(self) -> Tensor:
        return self.order


class BalancedStream(Stream):
    """Batches with every class equally often (``size // C`` times, at least once), classes in ascending order."""

    def over(self, indices: Tensor) -> None:
        """Draw from now on only the samples at `indices` [m]."""
        super().over(indices)
        self._find_classes()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        super().load_state_dict(state)
        self._find_classes()

    def _find_classes(self) -> None:
        """Note the members of each class; finding them makes a GPU wait, so once only."""
        self.classes = [self.members[part] for part in positions_by_class(self.samples.labels[self.members])]

    def _announce(self) -> None:
        """Say nothing: each batch is drawn when it is asked for."""

    def _next_indices(self) -> Tensor:
        return drawn_from_each(self.classes, max(1, self.size // len(self.classes)), self.generator)


def positions_by_class(labels: Tensor) -> list[Tensor]:
    """Return the positions of each label in `labels` [n], for the labels that occur, ascending; a GPU is waited for."""
    return [torch.nonzero(labels == label).flatten() for label in labels.unique()]


def drawn_from_each(groups: list[Tensor], count: int, generator: torch.Generator) -> Tensor:
    """Return `count` random members of every group, without replacement (all of a smaller group), group by group."""
    orders = [torch.randperm(len(group), generator=generator, device=generator.device)[:count] for group in groups]
    return torch.cat([group[order] for group, order in zip(groups, orders, strict=True)])


STREAMS: dict[str, type[Stream]] = {"reshuffled": Stream, "fixed": FixedOrderStream}
"""A protocol's ``order`` -> class."""
