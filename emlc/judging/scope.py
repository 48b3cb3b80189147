"""Which published cells an entry of ``published/provenance.yaml`` speaks of, and reading that file by a schema."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import jsonschema

from emlc.judging.cells import Cell
from emlc.judging.names import dataset_key, method_key, noise_key
from emlc.records.errors import SuiteError
from emlc.records.yaml_data import load_yaml

INFERRED = "inferred"
EVIDENCE = {"enum": ["verified", INFERRED, "unknown"]}
SCOPE = {
    "noise_type": {"type": "string"},
    "noise_rates": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}, "minItems": 1},
}
"""What restricts an entry to some cells of a row; it speaks of all where it says neither."""


def checked(path: Path, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a YAML file.

    Raises
    ------
    SuiteError
        If the file cannot be read, is not YAML or breaks the schema.
    """
    content = load_yaml(path)
    fault = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(content))
    if fault is not None:
        raise SuiteError(f"{path}: {fault.json_path.removeprefix('$.')}: {_one_line(fault.message)}")
    return content


def covered(
    cell: Cell, methods: Sequence[str], datasets: Sequence[str], noise: tuple[str | None, Sequence[float]]
) -> bool:
    """Return whether an entry of these methods, datasets, noise type (None: all) and rates (empty: all) has a cell."""
    kind, rates = noise
    return (
        cell.method_key in {method_key(name) for name in methods}
        and cell.dataset_key in {dataset_key(name) for name in datasets}
        and (kind is None or noise_key(kind) == cell.noise[0])
        and (not rates or cell.noise[1] in rates)
    )


class Entry(Protocol):
    """What speaks of some cells."""

    def covers(self, cell: Cell) -> bool:
        """Whether it speaks of this one."""


Found = TypeVar("Found", bound=Entry)


def only(cell: Cell, entries: Sequence[Found], what: str) -> Found | None:
    """Return the entry that covers a published cell, None if none does.

    Raises
    ------
    SuiteError
        If two do; calls them `what`.
    """
    found = [entry for entry in entries if entry.covers(cell)]
    if len(found) > 1:
        noise = f"{cell.noise_type} {cell.noise_rate}"
        raise SuiteError(f"two {what} cover {cell.method} on {cell.dataset} {noise}; keep one")
    return found[0] if found else None


def _one_line(message: object) -> str:
    text = " ".join(str(message).split())
    return text if len(text) <= 200 else text[:200] + "..."
