"""Turn a dataset's pinned files into arrays: uint8 images, int64 labels, class names, with a checksum inside."""

from collections.abc import Sequence
from pathlib import Path

from emlc.data import Dataset, open_dataset
from emlc.data.store import save_arrays
from emlc.records.errors import SuiteError
from pipelines.fetching.pointers import require_file
from pipelines.machine.cli import Parser, run
from pipelines.profile.load import load_settings
from pipelines.profile.settings import DEFAULT_PROFILE, ROOT, dataset_options


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


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    parser = Parser("pipelines.prepare", description=__doc__)
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile files")
    parser.add_argument("--dataset", required=True, help="a key of the profile's datasets")
    parser.add_argument("--out", type=Path, required=True, help="where to write the arrays (.npz)")
    args = parser.parse_args(argv)
    dataset = open_dataset(args.dataset, dataset_options(load_settings(args.config), args.dataset))
    prepare(dataset, source_files(dataset, ROOT), args.out)
    return 0


if __name__ == "__main__":
    run(main)
