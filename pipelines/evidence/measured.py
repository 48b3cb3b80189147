"""What claims and the page are about: tables, and the files of figures, audits and times, by the names in sight."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from emlc.records.artefacts import read_json
from emlc.records.store import SEAL, Order
from pipelines.page.accuracies import read_table

Files = Mapping[str, Path]
"""Files of results by their names, e.g. ``figures/fig1.csv``."""


class Measured(NamedTuple):
    """What was measured.

    Attributes
    ----------
    tables : dict
        Tables by name, from :func:`pipelines.page.accuracies.read_table`.
    files : dict of str to Path
        All other files by name, e.g. ``figures/fig1.csv``.
    places : dict of str to str
        The titles of the data sets that files are of, where it is one: by name without suffix, e.g. ``figures/fig1``.
    """

    tables: Mapping[str, Mapping[str, Any]]
    files: Files
    places: Mapping[str, str]


def measured(order: Order) -> Measured:
    """Return what an order for claims or the page reads.

    Raises
    ------
    SuiteError
        If an artefact is missing or damaged.
    """
    tables = {name: read_table(folder / f"{name}.json") for name, folder in table_folders(order).items()}
    files: dict[str, Path] = {}
    places: dict[str, str] = {}
    for name, place in order.identity["measured"].items():
        folder = order.beside(*place.split("/"))
        found = _named(name, folder)
        files |= found
        title = read_json(folder / SEAL)["identity"].get("place", {}).get("dataset")
        places |= {PurePosixPath(file).with_suffix("").as_posix(): title for file in found if title}
    return Measured(tables, files, places)


def table_folders(order: Order) -> dict[str, Path]:
    """Return the folders of an order's tables, by name."""
    return {name: order.beside("tables", identifier) for name, identifier in order.identity["tables"].items()}


def _named(name: str, folder: Path) -> dict[str, Path]:
    """Return an artefact's files by their names in sight."""
    files = sorted(path for path in folder.glob("*") if path.is_file() and path.name != SEAL)
    return {(PurePosixPath(name).parent / path.name).as_posix(): path for path in files}
