"""What is known to be wrong with published numbers: a YAML file beside the tables, with its own small vocabulary."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emlc.judging.cells import Cell
from emlc.judging.scope import EVIDENCE, SCOPE, checked, covered, only
from emlc.records.errors import SuiteError

_ENTRY = {
    "type": "object",
    "additionalProperties": False,
    "required": ["method", "dataset", "defect", "comparable", "evidence", "explanation"],
    "properties": {
        "method": {"type": "string", "minLength": 1},
        "dataset": {"type": "string", "minLength": 1},
        **SCOPE,
        "defect": {"type": "string"},
        "also": {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
        "clean_labels": {"type": "integer", "minimum": 0},
        "comparable": {"type": "boolean"},
        "evidence": EVIDENCE,
        "explanation": {"type": "string", "minLength": 1},
    },
}
_ABSENT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["method", "datasets", "evidence", "explanation"],
    "properties": {
        "method": {"type": "string", "minLength": 1},
        "datasets": {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
        "evidence": EVIDENCE,
        "explanation": {"type": "string", "minLength": 1},
    },
}
_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["vocabulary", "cells"],
    "properties": {
        "vocabulary": {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}},
        "cells": {"type": "array", "items": _ENTRY},
        "absent": {"type": "array", "items": _ABSENT},
        "recipes": {"type": "array"},
    },
}


@dataclass(frozen=True)
class Defect:
    """A known defect of some cells of one method's published row.

    Attributes
    ----------
    method, dataset : str
        Which row and which half of the table.
    name : str
        A word of the file's vocabulary, e.g. ``shifted-column``.
    comparable : bool
        False if the number is not what its column says, so that no result can deviate from it.
    evidence : str
        ``verified``, ``inferred`` or ``unknown``.
    explanation : str
        What is wrong and how it is known.
    noise_type : str or None
        Only cells of this type; None for all.
    noise_rates : tuple of float
        Only cells of these rates; empty for all.
    also : tuple of str
        The cells' other defects, words of the vocabulary too.
    clean_labels : int or None
        True labels used for the number, to train and to select; None where not known.
    """

    method: str
    dataset: str
    name: str
    comparable: bool
    evidence: str
    explanation: str
    noise_type: str | None = None
    noise_rates: tuple[float, ...] = ()
    also: tuple[str, ...] = ()
    clean_labels: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All defects, the one that weighs most first."""
        return (self.name, *self.also)

    def covers(self, cell: Cell) -> bool:
        """Whether the published `cell` has this defect."""
        return covered(cell, (self.method,), (self.dataset,), (self.noise_type, self.noise_rates))


@dataclass(frozen=True)
class Absence:
    """A result that a reader would look for in a published table and not find.

    Attributes
    ----------
    method : str
    datasets : tuple of str
        Of the half of the table where it is missing.
    evidence, explanation : str
        As in :class:`Defect`.
    """

    method: str
    datasets: tuple[str, ...]
    evidence: str
    explanation: str


def read_provenance(path: Path) -> list[Defect]:
    """Read the defects of a provenance file.

    Raises
    ------
    SuiteError
        If the file cannot be read, is not YAML, breaks the schema or uses a defect that its vocabulary does not
        explain.
    """
    return [_defect(entry) for entry in _checked(Path(path))["cells"]]


def read_absences(path: Path) -> list[Absence]:
    """Read what a provenance file says is absent from the tables; fails as :func:`read_provenance` does."""
    entries = _checked(Path(path)).get("absent", [])
    return [Absence(**{**entry, "datasets": tuple(entry["datasets"])}) for entry in entries]


def read_vocabulary(path: Path) -> dict[str, str]:
    """Read what the words for defects mean; fails as :func:`read_provenance` does."""
    return _checked(Path(path))["vocabulary"]


def _checked(path: Path) -> dict[str, Any]:
    content = checked(path, _SCHEMA)
    for entry in content["cells"]:
        for name in (entry["defect"], *entry.get("also", ())):
            if name not in content["vocabulary"]:
                raise SuiteError(f"{path}: defect {name!r} of {entry['method']} is not in its vocabulary; add it there")
    return content


def defect_of(cell: Cell, provenance: Sequence[Defect]) -> Defect | None:
    """Return the defect of a published cell, None if none is known; two are a `SuiteError`."""
    return only(cell, provenance, "provenance entries")


def _defect(entry: dict[str, Any]) -> Defect:
    lists = {key: tuple(entry.get(key, ())) for key in ("noise_rates", "also")}
    rest = {key: value for key, value in entry.items() if key not in ("defect", *lists)}
    return Defect(name=entry["defect"], **lists, **rest)
