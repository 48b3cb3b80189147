"""What runs showed under observation (:mod:`pipelines.probe`), as a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from emlc.records.bundles import read_bundle, write_bundle
from emlc.records.errors import SuiteError
from emlc.records.store import Order

SCHEMA = "emlc.probe/2"
PROBE = "probe.npz"
ARRAYS = {
    "soft_labels": "<f4",
    "retained": "<f4",
    "noisy_labels": "<i8",
    "true_labels": "<i8",
    "embeddings": "<f4",
    "test_labels": "<i8",
}


class Probe(NamedTuple):
    """What a run showed.

    Attributes
    ----------
    history : list of dict
        The epochs as the run's record has them: observing changes nothing.
    epochs : list of dict
        See :class:`pipelines.evidence.observation.Observer`.
    arrays : mapping of str to ndarray
        After the last epoch: ``soft_labels`` [N, C], ``retained`` [N] (empty without a gate), ``noisy_labels`` and
        ``true_labels`` [N]; ``embeddings`` [M, d] and ``test_labels`` [M].
    """

    history: list[dict[str, Any]]
    epochs: list[dict[str, Any]]
    arrays: Mapping[str, np.ndarray]


def save_probe(path: Path, probe: Probe) -> None:
    """Write a probe to one ``.npz`` file, atomically."""
    meta = {"schema": SCHEMA, "history": probe.history, "epochs": probe.epochs}
    write_bundle(path, meta, {name: probe.arrays[name].astype(dtype) for name, dtype in ARRAYS.items()})


def load_probe(path: Path) -> Probe:
    """Read a probe.

    Raises
    ------
    SuiteError
        If the file is missing, damaged or something else.
    """
    meta, arrays = read_bundle(path, ARRAYS)
    if not isinstance(meta, dict) or meta.get("schema") != SCHEMA:
        raise SuiteError(f"{path} is not a probe of schema {SCHEMA}; delete it and run again")
    return Probe(meta["history"], meta["epochs"], arrays)


def probed(order: Order) -> list[tuple[Mapping[str, Any], Probe]]:
    """Return the entries of an identity's ``probes`` (what the page calls each run), each with its probe.

    Raises
    ------
    SuiteError
        If one is missing, damaged or of another run.
    """
    return [(entry, load_probe(order.beside("probes", entry["id"]) / PROBE)) for entry in order.identity["probes"]]
