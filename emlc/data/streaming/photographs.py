"""A dataset whose images stay on disk, in the shape of prepared arrays: what a run needs not know the difference of."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from emlc.data.image_files import Files
from emlc.data.listing import Keys, Listing
from emlc.data.streaming.images import StreamedImages
from emlc.data.streaming.preprocessing import Read
from emlc.noise.matrices import Labels
from emlc.tasks.splits import Indices


@dataclass(frozen=True, eq=False)
class Pictures:
    """Image files that are indexed like an array of uint8 [N, S, S, 3], and decoded once they are on a device.

    Attributes
    ----------
    files : Files
    read : Read
        Maps RGB images of any size to S x S pixels.
    side : int
        S.
    workers : int
        Processes that decode ahead; 0 decodes in the run's own. Decides no pixel.
    """

    files: Files
    read: Read
    side: int
    workers: int = 0

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """[N, S, S, 3]."""
        return len(self.files), self.side, self.side, 3

    def __len__(self) -> int:
        """Number of images."""
        return len(self.files)

    def __getitem__(self, indices: Indices) -> "Pictures":
        """Return the images at `indices` [n], still on disk."""
        return replace(self, files=Files(self.files.root, self.files.keys[indices]))

    def on(self, device: torch.device) -> StreamedImages:
        """Return the images as a source of batches on `device`."""
        return StreamedImages(self.files, self.read, self.workers, device)

    def decoded(self) -> np.ndarray:
        """Return all images, uint8 [N, S, S, 3]: for few or small ones, whatever it takes."""
        images = StreamedImages(self.files, self.read, 0, torch.device("cpu"))
        return images[torch.arange(len(self))].permute(0, 2, 3, 1).contiguous().numpy()


@dataclass(frozen=True, eq=False)
class Photographs:
    """A listing with its images, as :class:`emlc.data.base.Arrays`.

    Attributes
    ----------
    train_images, test_images : Pictures
    train_labels, test_labels : ndarray of int64 [N]
        As in :class:`emlc.data.listing.Listing`.
    class_names : tuple of str
    """

    train_images: Pictures
    train_labels: Labels
    test_images: Pictures
    test_labels: Labels
    class_names: tuple[str, ...]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


def photographs(
    listing: Listing, files_of: Callable[[Keys], Files], read: Read, side: int, workers: int
) -> Photographs:
    """Return the images of a listing.

    Parameters
    ----------
    listing : Listing
    files_of : callable
        Maps keys to the files that they name.
    read, side, workers
        As in :class:`Pictures`.
    """
    train, test = (Pictures(files_of(keys), read, side, workers) for keys in (listing.train_keys, listing.test_keys))
    return Photographs(train, listing.train_labels, test, listing.test_labels, listing.class_names)
