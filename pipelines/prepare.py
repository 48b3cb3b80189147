"""Turn a dataset's pinned files into arrays: uint8 images, int64 labels, class names, with a checksum inside."""

from pathlib import Path

from emlc.data import Dataset, open_dataset
from emlc.data.store import save_arrays
from emlc.records.errors import SuiteError
from emlc.records.store import Order
from pipelines.fetching.pointers import require_file
from pipelines.machine.work import work
from pipelines.profile.places import ROOT

ARRAYS = "arrays.npz"


def prepare(dataset: Dataset, files: tuple[Path, ...], out: Path) -> str:
    """Read a dataset's files, write its arrays to `out` and return their SHA-256.

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
    return save_arrays(out, dataset.prepare(files), dataset.name)


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
