"""The table for the page: a section per data set, published beside measured, every cell with its seeds and records."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from emlc.judging.cells import Cell, column_name
from emlc.records.record import COMPLETED
from pipelines.table import REFERENCE, row_names

Key = tuple[str, str, float | None]


def sections(
    table: Mapping[str, Any],
    published: Sequence[Cell],
    verdicts: Sequence[Mapping[str, Any]],
    runs: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return the sections of the table, first the data sets of the profile, then the paper's others.

    Parameters
    ----------
    table : dict
        From :func:`pipelines.table.read_table`.
    published : sequence of Cell
        The paper's table.
    verdicts : sequence of dict
        The ``cells`` of the comparison with the paper (pipelines.compare).
    runs : sequence of dict
        From :func:`pipelines.aggregate.collect`.

    Returns
    -------
    list of dict
        ``title``, ``beside`` (whose published numbers), ``own`` (whether these are of the same data set), ``columns``
        and ``rows`` of ``method`` and ``cells``.
    """
    numbers = count(1)
    titles = [dataset["title"] for dataset in table["datasets"]]
    papers = [title for title in dict.fromkeys(cell.dataset for cell in published) if title not in titles]
    return [_section(title, table, published, verdicts, runs, numbers) for title in [*titles, *papers]]


def seed_rows(runs: Sequence[Mapping[str, Any]], selection: str) -> list[dict[str, Any]]:
    """Return what the page shows of each run of one cell, by seed."""
    return [_seed_row(item, selection) for item in runs]


def _section(
    title: str,
    table: Mapping[str, Any],
    published: Sequence[Cell],
    verdicts: Sequence[Mapping[str, Any]],
    runs: Sequence[Mapping[str, Any]],
    numbers: Iterator[int],
) -> dict[str, Any]:
    beside = title if not published or any(cell.dataset == title for cell in published) else REFERENCE
    ours = {_key(cell): cell for cell in table["cells"] if cell["dataset"] == title}
    paper = {_key(vars(cell)): cell for cell in published if cell.dataset == beside}
    judged = {_key(entry["published"]): entry for entry in verdicts if entry["published"]["dataset"] == title}
    by_cell = _runs_by_cell(runs, title)
    columns = list(dict.fromkeys(key[1:] for key in ours or paper))

    def cell(key: Key) -> dict[str, Any]:
        measured, known = ours.get(key), paper.get(key)
        return {
            "id": f"cell-{next(numbers)}",
            "column": column_name(*key[1:]),
            "measured": measured,
            "published": known,
            "difference": _difference(measured, known) if beside == title else None,
            "verdict": judged.get(key),
            "seeds": seed_rows(by_cell.get(key, ()), table["selection"]),
        }

    methods = row_names(table["methods"], published)
    rows = [{"method": name, "cells": [cell((_fold(name), *column)) for column in columns]} for name in methods]
    names = [column_name(*column) for column in columns]
    return {"title": title, "beside": beside, "own": beside == title, "columns": names, "rows": rows}


def _runs_by_cell(runs: Sequence[Mapping[str, Any]], title: str) -> dict[Key, list[Mapping[str, Any]]]:
    groups: dict[Key, list[Mapping[str, Any]]] = {}
    for item in runs:
        if item["record"] is not None and item["title"] == title:
            groups.setdefault((_fold(item["label"]), item["run"].noise, item["run"].rate), []).append(item)
    return groups


def _seed_row(item: Mapping[str, Any], selection: str) -> dict[str, Any]:
    which, record = item["run"], item["record"]
    row = {"seed": which.seed, "status": item["status"], "record": f"{which.folder}/record.json"}
    if item["status"] != COMPLETED:
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
