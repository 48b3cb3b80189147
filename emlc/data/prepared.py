"""What was prepared of a dataset: its arrays, or a listing of images that stay on disk."""

from pathlib import Path

from emlc.data.base import Arrays
from emlc.data.listing import Listing, load_listing
from emlc.data.store import load_arrays

ARRAYS = "arrays.npz"
LISTING = "listing.npz"
IMAGES = "images"
"""Folder beside a listing with the images of an archive; those of a folder stay where they are."""


def load_prepared(folder: Path) -> tuple[Arrays | Listing, str]:
    """Read what was prepared and return it with its SHA-256.

    Raises
    ------
    SuiteError
        As :func:`emlc.data.store.load_arrays` and :func:`emlc.data.listing.load_listing`.
    """
    if (folder / LISTING).exists():
        return load_listing(folder / LISTING)
    return load_arrays(folder / ARRAYS)
