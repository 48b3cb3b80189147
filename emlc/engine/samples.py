"""A set of labelled images, of which streams and ordered passes are made. Nothing else touches pixels."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from emlc.engine.sampling import WHOLE, Sampling
from emlc.engine.streams import BalancedStream, Batch, Stream, View
from emlc.models import processes
from emlc.records.errors import SuiteError

CHUNK = 1000
"""Images at once where no gradient is taken; no activations are kept then, so this only bounds memory."""
PIXELS = 2**23
"""Pixels at once there, which large images reach first."""


class Images(Protocol):
    """Pixels by position: a tensor on the device, or a source that reads them from disk when they are asked for."""

    shape: tuple[int, ...]
    """[N, C, H, W]."""

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Return uint8 images [n, C, H, W] on the device for indices [n]."""


@runtime_checkable
class Foresighted(Protocol):
    """Images that like to know what will be asked for (:class:`emlc.data.streaming.images.StreamedImages`)."""

    def expect(self, owner: Any, batches: Sequence[Tensor]) -> None:
        """Prepare for batches of indices; correct without it, only slower."""

    def unreadable(self) -> list[str]:
        """Return the files that could not be read so far."""


class _Reader:
    """Someone who reads a set once."""


class Samples:
    """Images and labels of one set, with the augmentations under which they can be seen.

    Parameters
    ----------
    images : Images
        N of them.
    labels : Tensor [N] of int64
        On the device.
    views : mapping of str to View
        :func:`emlc.engine.views.build_views`.
    generator : callable
        Maps a stream's name to the generator that it draws from, in its initial state.
    kind : type of Stream
        The protocol's order (:data:`emlc.engine.streams.STREAMS`).
    sampling : callable
        Maps a stream's name to which samples its passes go over.
    """

    def __init__(
        self,
        images: Images,
        labels: Tensor,
        views: Mapping[str, View],
        generator: Callable[[str], torch.Generator],
        kind: type[Stream] = Stream,
        sampling: Callable[[str], Sampling] = lambda _: WHOLE,
    ) -> None:
        self._images, self.labels = images, labels
        self._views, self._generator, self._kind, self._sampling = views, generator, kind, sampling
        self._on_disk = isinstance(images, Foresighted)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.labels)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the set itself: it never changes, and copies of what holds it shall not copy its images."""
        return self

    def stream(self, size: int, *views: str, name: str = "") -> Stream:
        """Return endless batches in the protocol's order.

        Parameters
        ----------
        size : int
            Batch size; the whole set if that is smaller.
        *views : str
            The augmentations of each batch's views: ``plain`` (none), ``weak``, ``strong``, ...; one may be asked for
            more than once.
        name : str, optional
            Streams of one set and one name see the same samples in the same order: give a second stream, of another
            network for example, a name of its own.

        Raises
        ------
        SuiteError
            If there is no such view.
        """
        return self._opened(self._kind, size, views, name)

    def balanced(self, size: int, *views: str, name: str = "") -> Stream:
        """Return endless batches with every class equally often; arguments as for :meth:`stream`."""
        return self._opened(BalancedStream, size, views, name)

    def _opened(self, kind: type[Stream], size: int, views: tuple[str, ...], name: str) -> Stream:
        for view in views:
            self._view(view)
        return kind(self, size, views, self._generator(name), self._sampling(name))

    def batches(
        self, view: str = "plain", generator: torch.Generator | None = None, over: Tensor | None = None
    ) -> Iterator[Batch]:
        """Yield all samples once, in their order, in batches as large as memory likes.

        Parameters
        ----------
        view : str
        generator : torch.Generator, optional
            Draws a view other than ``plain``.
        over : Tensor [m] of int64, optional
            The samples to yield, in this order, instead of all.

        Raises
        ------
        SuiteError
            If there is no such view.
        ValueError
            If a random view has no generator: it would draw from the global one.
        """
        if view != "plain" and generator is None:
            raise ValueError(f"the view {view!r} is random: give the generator that it draws from")
        _, _, height, width = self._images.shape
        size = max(1, min(CHUNK, PIXELS // (height * width)))
        chunks = (torch.arange(len(self), device=self.labels.device) if over is None else over).split(size)
        reader = _Reader()
        self.expect(reader, chunks)
        for indices in chunks:
            yield self.batch(indices, (view,), generator)

    def batch(self, indices: Tensor, views: tuple[str, ...], generator: torch.Generator | None) -> Batch:
        """Return the samples at `indices` [n] under each of some views, drawn in turn."""
        images = self._images[indices]
        inputs = tuple(self._view(view)(images, generator) for view in views)
        return Batch(inputs, self.labels[indices], indices)

    def shared(self, indices: Tensor, views: tuple[str, ...], generator: torch.Generator) -> Batch:
        """Return this process's part of a batch: the same samples, augmented alike, as if it had taken the whole.

        Only its own images are read. What is drawn for the others is drawn, on copies of them.

        Raises
        ------
        SuiteError
            If the batch cannot be shared equally.
        """
        processes.share(len(indices))
        if processes.count() == 1:
            return self.batch(indices, views, generator)
        images = self._images[processes.part(indices)].repeat_interleave(processes.count(), dim=0)
        inputs = tuple(self._view(view)(images, generator) for view in views)
        return Batch(inputs, self.labels[indices], indices)[processes.rank() :: processes.count()]

    def expect(self, reader: Any, batches: Sequence[Tensor]) -> None:
        """Say which batches of indices `reader` will ask for next: images on disk are decoded ahead then."""
        if self._on_disk:
            self._images.expect(reader, batches)

    def unreadable(self) -> list[str]:
        """Return the files that could not be read so far, and that grey images stand in for."""
        return self._images.unreadable() if self._on_disk else []

    def _view(self, name: str) -> View:
        if name not in self._views:
            raise SuiteError(f"images have no view {name!r}; known: {', '.join(self._views)}")
        return self._views[name]
