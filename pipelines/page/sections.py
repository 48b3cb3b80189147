"""A table for the page: a section per data set, published beside measured, every cell with its seeds and records."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emlc.judging.cells import Cell, column_name
from emlc.records.record import COMPLETED
from pipelines.page.accuracies import columns_of, printed, row_names, stand_in
from pipelines.page.clean_labels import HEADINGS, said_in_columns, said_in_words
from pipelines.page.marks import Place, marked, place_of

Key = tuple[str, str, float | None]


@dataclass(frozen=True)
class Grid:
    """What the sections of one table are made of.

    Attributes
    ----------
    name : str
        Of the table in its profile.
    table : dict
        From :func:`pipelines.page.accuracies.read_table`.
    published : sequence of Cell
        The paper's table; empty if it has none.
    verdicts : sequence of dict
        The ``cells`` of the comparison with the paper (pipelines.compare).
    records : dict
        The records of the table's runs, by id.
    """

    name: str
    table: Mapping[str, Any]
    published: Sequence[Cell]
    verdicts: Sequence[Mapping[str, Any]]
    records: Mapping[str, Mapping[str, Any]]


def sections(grid: Grid) -> list[dict[str, Any]]:
    """Return a section per data set of a table.

    Returns
    -------
    list of dict
        ``title``, ``beside`` (whose published numbers), ``own`` (whether these are of the same data set), ``words`` and
        ``headings`` on clean labels, ``columns``, and ``rows`` of ``method``, ``labels`` (below the headings) and
        ``cells``.
    """
    marks = marked(grid.table)
    return [_section(grid, dataset["title"], marks) for dataset in grid.table["datasets"]]


def not_run(grid: Grid) -> list[dict[str, Any]]:
    """Return a section, as :func:`sections`, per data set that the paper's table has and the measured one has not."""
    titles = [dataset["title"] for dataset in grid.table["datasets"]]
    papers = [title for title in dict.fromkeys(cell.dataset for cell in grid.published) if title not in titles]
    return [_section(grid, title, ()) for title in papers]


def _section(grid: Grid, title: str, marks: Container[Place]) -> dict[str, Any]:
    published = grid.published
    beside = stand_in(title, published)
    ours = {_key(cell): cell for cell in grid.table["cells"] if cell["dataset"] == title}
    judged = {_key(entry["published"]): entry for entry in grid.verdicts if entry["published"]["dataset"] == title}
    columns = list(dict.fromkeys(key[1:] for key in ours)) or columns_of(beside, published)
    paper = printed(beside, columns, published)

    def cell(row: int, place: int, key: Key) -> dict[str, Any]:
        measured, known = ours.get(key), paper.get(key)
        return {
            "id": f"{grid.name}-{_slug(title)}-{row}-{place}",
            "column": column_name(*key[1:]),
            "measured": measured,
            "marked": measured is not None and place_of(measured) in marks,
            "published": known,
            "difference": _difference(measured, known) if beside == title else None,
            "verdict": judged.get(key),
            "seeds": seed_rows(measured, grid.records, _selection(grid.table, measured)) if measured else [],
        }

    labels, blank = said_in_columns(list(ours.values())), ("",) * len(HEADINGS)
    rows = [
        {
            "method": name,
            "labels": labels.get(name, blank) if labels else (),
            "cells": [cell(row, place, (_fold(name), *column)) for place, column in enumerate(columns)],
        }
        for row, name in enumerate(row_names(grid.table["methods"], published))
    ]
    return {
        "title": title,
        "beside": beside,
        "own": beside == title,
        "words": said_in_words(list(ours.values())),
        "headings": HEADINGS if labels else (),
        "columns": [column_name(*column) for column in columns],
        "rows": rows,
    }


def _selection(table: Mapping[str, Any], cell: Mapping[str, Any]) -> str:
    return table.get("selections", {}).get(cell["method"], table["selection"])


def seed_rows(
    cell: Mapping[str, Any], records: Mapping[str, Mapping[str, Any]], selection: str
) -> list[dict[str, Any]]:
    """Return what the page shows of each run of a cell, by seed."""
    return [_seed_row(int(seed), Path(folder), records, selection) for seed, folder in cell["runs"].items()]


def _seed_row(seed: int, folder: Path, records: Mapping[str, Mapping[str, Any]], selection: str) -> dict[str, Any]:
    record = records[folder.name]
    row = {"seed": seed, "status": record["status"], "record": f"{folder.as_posix()}/record.json"}
    if record["status"] != COMPLETED:
        return {**row, "error": record["error"]}
    return {
        **row,
        "accuracy": record["test_accuracy"][selection],
        "last": record["test_accuracy"]["last"],
        "best": record["test_accuracy"]["best-test"],
        "epoch": record["selected_epoch"] + 1,
        "epochs": len(record["epochs"]),
        "wrong": record["task"]["effective_rate"],
        "seconds": record["timing"]["total_seconds"],
        "task": record["task"]["sha256"],
        "sha256": record["sha256"],
    }


def _difference(measured: Mapping[str, Any] | None, known: Cell | None) -> float | None:
    if measured is None or known is None or measured["mean"] is None or known.mean is None:
        return None
    return round(measured["mean"] - known.mean, 4)


def _key(cell: Mapping[str, Any]) -> Key:
    return _fold(cell["method"]), cell["noise_type"], cell["noise_rate"]


def _fold(method: str) -> str:
    return Cell(method, "").method_key


def _slug(title: str) -> str:
    """Return a title as a part of an element's id."""
    return "".join(letter if letter.isalnum() else "-" for letter in title.casefold())
