"""Images that are decoded when they are needed, by worker processes: memory does not grow with their number."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import tee
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from emlc.data.image_files import Broken, Files, open_rgb
from emlc.data.streaming.preprocessing import Read


class StreamedImages:
    """Images on disk that look like a tensor [N, 3, S, S] on the device.

    What a position holds depends on its file alone, neither on when it is read nor on how many workers there are: so
    there is nothing here that a checkpoint would have to keep.

    Parameters
    ----------
    files : Files
    read : callable
        Maps RGB images of any size to S x S pixels.
    workers : int
        Processes that decode ahead; 0 decodes here.
    device : torch.device

    Attributes
    ----------
    shape : tuple of int
        [N, 3, S, S].
    broken : Broken
        Which files could not be read so far.
    """

    def __init__(self, files: Files, read: Read, workers: int, device: torch.device) -> None:
        self.workers, self.device = workers, device
        self.broken = Broken(files)
        self._foreseen: WeakKeyDictionary[Any, _Foreseen] = WeakKeyDictionary()
        self._source = _Source(files, read)
        width, height = self._source.stand_in.size
        self.shape = (len(files), 3, height, width)

    def __len__(self) -> int:
        """Number of images."""
        return self.shape[0]

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Return uint8 images [n, 3, S, S] for indices [n]: decoded ahead if they were expected, else now and here.

        Raises
        ------
        SuiteError
            If too many files cannot be read (:class:`~emlc.data.image_files.Broken`).
        """
        positions = indices.tolist()
        for foreseen in self._foreseen.values():
            if foreseen.comes_next(positions):
                return foreseen.take()
        return next(self._decoded([indices], workers=0))

    def expect(self, owner: Any, batches: Iterable[Tensor]) -> None:
        """Be told what will be asked for, so that the workers can begin; what is asked for then is free.

        Parameters
        ----------
        owner : object
            Who will ask; replaces what it said before, and is forgotten with it.
        batches : iterable of Tensor [n] of int64
            As for :meth:`ahead`.
        """
        if self.workers:
            asked, decoded = tee(batches)
            self._foreseen[owner] = _Foreseen(asked, self.ahead(decoded))

    def unreadable(self) -> list[str]:
        """Return the keys of the files that could not be read so far."""
        return self.broken.names

    def ahead(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the images of each of some batches, in turn; the workers are always a few batches ahead.

        Parameters
        ----------
        batches : iterable of Tensor [n] of int64
            For example what is left of a pass: ``order[position:].split(size)``. Taken from a little at a time.

        Raises
        ------
        SuiteError
            As :meth:`__getitem__`.
        """
        return self._decoded(batches, self.workers)

    def _decoded(self, batches: Iterable[Tensor], workers: int) -> Iterator[Tensor]:
        plan = (indices.tolist() for indices in batches)
        # A generator of its own: the loader would draw a seed from the global one.
        loader = DataLoader(
            self._source, batch_sampler=plan, num_workers=workers, collate_fn=_collated, generator=torch.Generator()
        )
        for images, unreadable in loader:
            if unreadable:
                self.broken.note(unreadable)
            yield images.to(self.device)


class _Foreseen:
    """Batches in the order in which someone will ask for them, and their images."""

    def __init__(self, batches: Iterator[Tensor], images: Iterator[Tensor]) -> None:
        self._batches, self._images = batches, images
        self._next = self._following()

    def comes_next(self, positions: list[int]) -> bool:
        return positions == self._next

    def take(self) -> Tensor:
        self._next = self._following()
        return next(self._images)

    def _following(self) -> list[int] | None:
        indices = next(self._batches, None)
        return None if indices is None else indices.tolist()


class _Sample(NamedTuple):
    pixels: np.ndarray
    position: int
    is_readable: bool


@dataclass(frozen=True, eq=False)
class _Source(Dataset):
    files: Files
    read: Read

    @property
    def stand_in(self) -> Image.Image:
        """What is shown for a file that cannot be read."""
        return self.read(Image.new("RGB", (8, 8), (128, 128, 128)))

    def __getitem__(self, position: int) -> _Sample:
        try:
            image, is_readable = self.read(open_rgb(self.files.path(position))), True
        except MemoryError:
            raise
        except Exception:  # hostile bytes make the decoders fail in many ways
            image, is_readable = self.stand_in, False
        # In the layout of images in memory: kernels choose by it, not by the network's alone.
        return _Sample(np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1)), position, is_readable)


def _collated(samples: list[_Sample]) -> tuple[Tensor, list[int]]:
    """Return a batch's images and the positions of those that could not be read."""
    images = torch.from_numpy(np.stack([sample.pixels for sample in samples]))
    return images, [sample.position for sample in samples if not sample.is_readable]
