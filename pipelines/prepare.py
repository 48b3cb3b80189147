"""Turn a dataset's pinned files into arrays: uint8 images, int64 labels, class names, with a checksum inside.

Of photographs that stay on disk only a listing is made; those of an archive are unpacked beside it.
"""

import logging
from pathlib import Path

import numpy as np

from emlc.data import Arrays, Dataset, open_dataset
from emlc.data.archives import read_archive
from emlc.data.image_files import SUFFIXES
from emlc.data.listing import Listing, save_listing
from emlc.data.on_disk import OnDisk, is_on_disk
from emlc.data.prepared import ARRAYS, IMAGES, LISTING
from emlc.data.store import save_arrays
from emlc.records.errors import SuiteError
from emlc.records.store import Order
from pipelines.fetching.pointers import is_pointer, require_file
from pipelines.machine.work import work
from pipelines.profile.places import ROOT

logger = logging.getLogger(__name__)


def prepare(dataset: Dataset, files: tuple[Path, ...], out: Path) -> str:
    """Read a dataset's files, write its arrays to `out` and return their SHA-256; tell the order of its classes.

    Parameters
    ----------
    dataset : Dataset
    files : tuple of Path
        One per pointer of the dataset, verified (:func:`source_files`).
    out : Path
        The ``.npz`` file to write, atomically; see :func:`emlc.data.store.load_arrays`.

    Raises
    ------
    SuiteError
        If a file does not hold what the dataset expects.
    """
    arrays = dataset.prepare(files)
    digest = save_arrays(out, arrays, dataset.name)
    logger.info("classes of %s in label order: %s", dataset.name, label_order(arrays))
    return digest


def list_images(dataset: OnDisk, files: tuple[Path, ...], folder: Path) -> str:
    """List the images of a dataset, write the listing into `folder` and return its SHA-256.

    Parameters
    ----------
    dataset : OnDisk
    files : tuple of Path
        Folders of the user's own, or archives, which are unpacked into `folder`.
    folder : Path

    Raises
    ------
    SuiteError
        If images or lists are missing, or an archive is damaged or leads out of the folder.
    """
    roots = tuple(file if file.is_dir() else unpacked(file, folder / IMAGES) for file in files)
    listing = dataset.listing(roots)
    digest = save_listing(folder / LISTING, listing, dataset.name)
    logger.info("classes of %s in label order: %s", dataset.name, label_order(listing))
    return digest


def unpacked(archive: Path, folder: Path) -> Path:
    """Write the images of a tar archive into a folder and return that.

    Raises
    ------
    SuiteError
        As :func:`emlc.data.archives.read_archive`.
    """
    for path, content in read_archive(archive):
        if content is not None and path.suffix.lower() in SUFFIXES:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    return folder


def label_order(arrays: Arrays | Listing) -> str:
    """Return which number every class has, and of how many images: ``0 cat (50 + 10), 1 dog (50 + 10)``."""
    train, test = (
        np.bincount(labels, minlength=arrays.num_classes) for labels in (arrays.train_labels, arrays.test_labels)
    )
    names = arrays.class_names
    return ", ".join(f"{i} {name} ({train[i]} + {test[i]})" for i, name in enumerate(names))


def source_files(dataset: Dataset, root: Path) -> tuple[Path, ...]:
    """Return the files a dataset is made from; those that a ``.dvc`` file pins are verified.

    Raises
    ------
    SuiteError
        If one is missing or damaged.
    """
    return tuple(_source_file(dataset, root / pointer) for pointer in dataset.pointers)


def _source_file(dataset: Dataset, source: Path) -> Path:
    if is_pointer(source.name):
        return require_file(source)
    if not source.exists():
        raise SuiteError(missing(dataset, source))
    return source


def missing(dataset: Dataset, source: Path) -> str:
    """Return what to say of a user's own file or folder that is not there."""
    what = f"{source} does not exist; it is configured as the source of {dataset.title}"
    return f"{what}; put your copy there, or a link to it" if is_on_disk(dataset) else what


def make(order: Order, folder: Path) -> None:
    """Make prepared arrays, or a listing."""
    dataset = open_dataset(order.identity["dataset"], order.about["options"])
    files = source_files(dataset, ROOT)
    if is_on_disk(dataset):
        list_images(dataset, files, folder)
    else:
        prepare(dataset, files, folder / ARRAYS)


if __name__ == "__main__":
    work("pipelines.prepare", __doc__, "data", make)
