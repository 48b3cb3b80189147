"""Turn a dataset's pinned files into arrays: uint8 images, int64 labels, class names, with a checksum inside."""

import logging
from pathlib import Path

import numpy as np

from emlc.data import Arrays, Dataset, open_dataset
from emlc.data.store import save_arrays
from emlc.records.errors import SuiteError
from emlc.records.store import Order
from pipelines.fetching.pointers import require_file
from pipelines.machine.work import work
from pipelines.profile.places import ROOT

logger = logging.getLogger(__name__)

ARRAYS = "arrays.npz"


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


def label_order(arrays: Arrays) -> str:
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
    return tuple(_source_file(root / pointer) for pointer in dataset.pointers)


def _source_file(source: Path) -> Path:
    if source.suffix == ".dvc":
        return require_file(source)
    if not source.exists():
        raise SuiteError(f"{source} does not exist; it is configured as the source of a dataset")
    return source


def make(order: Order, folder: Path) -> None:
    """Make prepared arrays."""
    dataset = open_dataset(order.identity["dataset"], order.about["options"])
    prepare(dataset, source_files(dataset, ROOT), folder / ARRAYS)


if __name__ == "__main__":
    work("pipelines.prepare", __doc__, "data", make)
