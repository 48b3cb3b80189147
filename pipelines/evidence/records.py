"""The runs that a table or a figure shows, with their records."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from emlc.judging.cells import noise_name
from emlc.records.record import COMPLETED, read_record
from emlc.records.store import Order


class Shown(NamedTuple):
    """A run as a table or figure shows it.

    Attributes
    ----------
    key : str
        Of its method in the profile.
    method, dataset : str
        What the profile calls them.
    noise : str
    rate : float
    seed : int
    folder : Path
        Of its record and histories.
    record : dict
    """

    key: str
    method: str
    dataset: str
    noise: str
    rate: float
    seed: int
    folder: Path
    record: Mapping[str, Any]

    @property
    def completed(self) -> bool:
        """Whether it has results."""
        return self.record["status"] == COMPLETED


def shown(order: Order) -> list[Shown]:
    """Return the runs of an order's identity, in its order.

    Raises
    ------
    SuiteError
        If a run has no record, or it was damaged or edited.
    """
    return [_shown(order, run) for run in order.identity["runs"]]


def _shown(order: Order, run: Mapping[str, Any]) -> Shown:
    folder = order.beside("runs", run["id"])
    record = read_record(folder / "record.json")
    names = {name: run[name] for name in ("key", "method", "dataset", "noise", "rate", "seed")}
    return Shown(**names, folder=folder, record=record)


def completed(runs: Sequence[Shown]) -> list[Shown]:
    """Return the runs that completed."""
    return [run for run in runs if run.completed]


def place_name(place: Mapping[str, Any]) -> str:
    """Return what to call the ``place`` of an identity: its dataset and noise, e.g. ``UCI digits, Sym. 50%``."""
    return f"{place['dataset']}, {noise_name(place['noise'], place['rate'])}"
