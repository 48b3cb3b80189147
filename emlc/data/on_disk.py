"""Datasets whose images are not prepared: they stay on disk, and a listing says which there are. No torch here."""

from pathlib import Path
from typing import Any, Protocol, TypeGuard

from emlc.data.base import Dataset
from emlc.data.image_files import Files
from emlc.data.listing import Keys, Listing

WAYS = ("cropped", "central", "squashed", "resized-crop")
"""The ways of preprocessing by name (:mod:`emlc.data.streaming.preprocessing`)."""


class OnDisk(Dataset, Protocol):
    """A dataset of image files of any size."""

    preprocessing: str
    """Key of :data:`WAYS`."""
    side: int
    """Pixels of the squares that files are read to."""
    size: int
    """Pixels of the crops that a network sees."""
    brings_labels: bool
    """Whether labels are noisy as they were found and files say what trains, validates and tests."""

    def listing(self, files: tuple[Path, ...]) -> Listing:
        """Return which images there are; none is opened."""

    def images(self, files: tuple[Path, ...], keys: Keys) -> Files:
        """Return where the images of some keys lie."""

    def identified_by(self, folder: Path) -> list[Path]:
        """Return the files whose content tells one copy in a folder of the user's own from another."""


def is_on_disk(dataset: Any) -> TypeGuard[OnDisk]:
    """Whether a dataset's images stay on disk."""
    return hasattr(dataset, "listing")
