"""The record of one run: what was run, on what, and every score, sealed against editing."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from emlc.records.artefacts import canonical_json, file_digest, read_json, sha256_bytes, write_json
from emlc.records.errors import SuiteError

SCHEMA = "emlc.record/1"
COMPLETED, FAILED = "completed", "failed"

SELECTIONS = ("best-clean", "last", "best-test", "mean-last-5")
"""Which epoch a table reports: the paper's rule (section 4.1) first, then what other papers report."""

_VARYING = ("timing", "fingerprint", "sha256")


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record: `content` with its schema version and two checksums.

    ``fingerprint`` covers what must be equal when the run is repeated on the same kind of machine: everything but
    ``timing``. ``sha256`` covers the whole record.

    Parameters
    ----------
    content : mapping
        With ``status`` and ``cell``; JSON values only.
    """
    record = {"schema": SCHEMA, **content}
    record["fingerprint"] = _digest(record, _VARYING)
    record["sha256"] = _digest(record, ("sha256",))
    return record


def write_record(path: Path, content: Mapping[str, Any]) -> None:
    """Seal `content` and write it as JSON, atomically."""
    write_json(path, seal(content))


def read_record(path: Path) -> dict[str, Any]:
    """Read a record and check its seal.

    Raises
    ------
    SuiteError
        If the file is missing, not JSON, not a record, or not what the suite wrote.
    """
    record = read_json(path)
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise SuiteError(f"{path} is not a record of schema {SCHEMA}; delete it and run again")
    if record.get("sha256") != _digest(record, ("sha256",)):
        raise SuiteError(f"{path} does not match its sha256: it was edited or damaged; delete it and run again")
    return record


def files_digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of the files beside a record, for its ``files``."""
    return {name: file_digest(folder / name, "sha256") for name in names}


def scores(epochs: list[dict[str, Any]], selected: int, first: int = 0) -> dict[str, float]:
    """Return the test accuracy (%) by each rule of :data:`SELECTIONS`.

    Parameters
    ----------
    epochs : list of dict
        The history, with ``test_accuracy``.
    selected : int
        The epoch with the best clean score.
    first : int
        The first epoch that may be reported: those before belong to phases that only prepare.
    """
    accuracies = [row["test_accuracy"] for row in epochs[first:]]
    last_five = accuracies[-5:]
    return {
        "best-clean": accuracies[selected - first],
        "last": accuracies[-1],
        "best-test": max(accuracies),
        "mean-last-5": round(sum(last_five) / len(last_five), 6),
    }


def _digest(record: Mapping[str, Any], without: tuple[str, ...]) -> str:
    content = {key: value for key, value in record.items() if key not in without}
    return sha256_bytes(canonical_json(content).encode())
