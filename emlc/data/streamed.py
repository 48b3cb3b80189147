"""Images that are decoded when they are needed, by worker processes: memory does not grow with their number."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from emlc.data.image_files import Broken, Files, open_rgb
from emlc.data.sampling import Batches
from emlc.data.views import View


class Decoded(NamedTuple):
    """A batch.

    Attributes
    ----------
    images : Tensor [n, 3, H, W] of uint8
    positions : Tensor [n] of int64
        Of each image in its set.
    """

    images: Tensor
    positions: Tensor


class StreamedBatches:
    """Endless training batches, decoded ahead by workers; the batches do not depend on how many there are.

    Order and randomness are decided in this process, so that the state after the last batch that was handed out says
    all about the next, however many have been decoded ahead.

    Parameters
    ----------
    files : Files
    view : View
    batches : Batches
        Which images, in which order.
    workers : int
        Processes; 0 decodes here.
    """

    def __init__(self, files: Files, view: View, batches: Batches, workers: int) -> None:
        self.batches = batches
        self.workers = workers
        self.broken = Broken(files)
        self._images = _Images(files, view)
        self._pending: deque[dict[str, Any]] = deque()
        self._loader: Iterator[_Raw] | None = None

    @property
    def batches_per_pass(self) -> int:
        """Full batches in one pass."""
        return self.batches.batches_per_pass

    def next(self) -> Decoded:
        """Return the next batch.

        Raises
        ------
        SuiteError
            If too many files cannot be read.
        """
        if self._loader is None:
            self._loader = iter(_loader(self._images, self._plan(), self.workers))
        raw = next(self._loader)
        self._pending.popleft()
        return _checked(raw, self.broken)

    def state(self) -> dict[str, Any]:
        """Return everything that decides the batches to come, and which files were found broken."""
        batches = self._pending[0] if self._pending else self.batches.state()
        return {"batches": batches, "broken": sorted(self.broken.positions)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned; what was decoded ahead is thrown away."""
        self.close()
        self.batches.load_state(state["batches"])
        self.broken.positions = set(state["broken"])

    def close(self) -> None:
        """Stop the workers."""
        self._loader = None
        self._pending.clear()

    def _plan(self) -> Iterator[list["_Item"]]:
        while True:
            self._pending.append(self.batches.state())
            positions, seed = self.batches.next()
            yield [_Item(position, (seed, place)) for place, position in enumerate(positions.tolist())]


def in_order(
    files: Files, positions: Sequence[int], view: View, size: int, workers: int, broken: Broken
) -> Iterator[Decoded]:
    """Decode some images once, in the order given, `size` at a time, e.g. to score a method on them.

    Parameters
    ----------
    files : Files
    positions : sequence of int
    view : View
        One without randomness, or equal random numbers every time.
    size, workers : int
    broken : Broken
        Of `files`; gets those that cannot be read.

    Raises
    ------
    SuiteError
        As :meth:`StreamedBatches.next`.
    """
    items = [_Item(int(position), (0, place)) for place, position in enumerate(positions)]
    plan = (items[first : first + size] for first in range(0, len(items), size))
    for raw in _loader(_Images(files, view), plan, workers):
        yield _checked(raw, broken)


class _Item(NamedTuple):
    position: int
    seed: tuple[int, int]


class _Raw(NamedTuple):
    images: Tensor
    positions: Tensor
    readable: Tensor


@dataclass(frozen=True, eq=False)
class _Images(Dataset):
    files: Files
    view: View

    def __getitem__(self, item: _Item) -> tuple[np.ndarray, int, bool]:
        rng = np.random.default_rng(item.seed)
        try:
            rgb, readable = open_rgb(self.files.path(item.position)), True
        except MemoryError:
            raise
        except Exception:  # hostile bytes make the decoders fail in many ways
            rgb, readable = Image.new("RGB", (256, 256), (128, 128, 128)), False
        for step in self.view:
            rgb = step(rgb, rng)
        return np.asarray(rgb).transpose(2, 0, 1), item.position, readable


def _loader(images: _Images, plan: Iterator[list[_Item]], workers: int) -> DataLoader:
    # A generator of its own: the loader would draw a seed from the global one.
    return DataLoader(
        images,
        batch_sampler=plan,
        num_workers=workers,
        collate_fn=_collated,
        generator=torch.Generator(),
    )


def _collated(samples: list[tuple[np.ndarray, int, bool]]) -> _Raw:
    images, positions, readable = zip(*samples, strict=True)
    return _Raw(torch.from_numpy(np.stack(images)), torch.tensor(positions), torch.tensor(readable))


def _checked(raw: _Raw, broken: Broken) -> Decoded:
    if not raw.readable.all():
        broken.note(raw.positions[~raw.readable].tolist())
    return Decoded(raw.images, raw.positions)
