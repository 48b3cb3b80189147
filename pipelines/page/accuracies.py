"""A table of accuracies in the paper's layout, each method beside its published row and the difference."""

from collections.abc import Container, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from tabulate import tabulate

from emlc.judging.cells import AS_COLLECTED, Cell, column_name
from emlc.records.artefacts import read_json
from emlc.records.errors import SuiteError
from pipelines.page.clean_labels import HEADINGS, said_in_columns, said_in_words
from pipelines.page.differences import real_differences
from pipelines.page.marks import Place, marked, place_of

REFERENCE = "CIFAR-10"
"""Whose published columns stand beside a dataset that the paper does not have; in Table 2 those of its only one."""

COMPARED = (
    "*Paper* rows are published numbers, which no record here backs; differences across data sets are not comparable "
    "and stand in parentheses."
)
UNCOMPARED = "No published numbers stand beside them: the paper has none for these columns."

ABSENT = "–"  # noqa: RUF001  (the paper prints an en dash)
Column = tuple[str, float | None]

SELECTION_TEXT = {
    "best-clean": "the epoch with the best clean-set accuracy (section 4.1; ties by lower clean loss)",
    "last": "the last epoch",
    "best-test": "the epoch with the best test accuracy",
    "mean-last-5": "the mean of the last five epochs",
}

TABLE_SCHEMA = {
    "type": "object",
    "required": ["profile", "protocol", "title", "selection", "seeds", "datasets", "methods", "cells", "paired"],
    "properties": {
        "selection": {"enum": list(SELECTION_TEXT)},
        "selections": {"type": "object", "additionalProperties": {"enum": list(SELECTION_TEXT)}},
        "seeds": {"type": "array"},
        "datasets": {"type": "array", "items": {"type": "object", "required": ["title"]}},
        "methods": {"type": "array", "items": {"type": "string"}},
        "cells": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["method", "dataset", "noise_type", "noise_rate", "mean", "std", "failed"],
                "properties": {
                    "failed": {"type": "array", "items": {"type": "object", "required": ["folder", "error"]}},
                },
            },
        },
    },
}


def read_table(path: Path) -> dict[str, Any]:
    """Read a table that :mod:`pipelines.table` wrote.

    Raises
    ------
    SuiteError
        If the file cannot be read, is not JSON or no table.
    """
    table = read_json(path)
    if not Draft202012Validator(TABLE_SCHEMA).is_valid(table):
        raise SuiteError(f"{path} is not a table of results; give the JSON that pipelines.table wrote")
    return table


def as_markdown(table: dict[str, Any], published: Sequence[Cell]) -> str:
    """Return the page: one section per dataset, first those of the profile, then the paper's that have no record.

    Rows are the paper's methods in its order, with those that only the profile has after the method before them.

    Parameters
    ----------
    table : dict
        As :func:`pipelines.evidence.cells.as_table` returns it.
    published : sequence of Cell
        The paper's table; empty if it has none for these columns, which the page then says.
    """
    titles = [dataset["title"] for dataset in table["datasets"]]
    absent = [title for title in dict.fromkeys(cell.dataset for cell in published) if title not in titles]
    sections = [_section(table, published, dataset) for dataset in [*titles, *absent]]
    head = [f"# {table['title']}, profile `{table['profile']}`", _about(table, bool(published))]
    paired = [real_differences(table)] if table["paired"] else []
    return "\n\n".join([*head, *sections, *paired, *_failures(table)]) + "\n"


def _about(table: dict[str, Any], compared: bool) -> str:
    datasets = "; ".join(_dataset_text(dataset) for dataset in table["datasets"])
    seeds = ", ".join(str(seed) for seed in table["seeds"])
    return (
        f"Test accuracy (%), mean ± standard deviation over seeds {seeds}; protocol `{table['protocol']}`; reported is "
        f"{selection_text(table)}. Bold: the best mean of a column and all "
        "that cannot be told from it (below). "
        f"{COMPARED if compared else UNCOMPARED} Data: {datasets}."
    )


def selection_text(table: Mapping[str, Any]) -> str:
    """Return what is reported of a table's runs, and of those of methods that report something else."""
    own = "".join(f", of {label} {SELECTION_TEXT[rule]}" for label, rule in table.get("selections", {}).items())
    return f"{SELECTION_TEXT[table['selection']]}{own}"


def _dataset_text(dataset: dict[str, Any]) -> str:
    if "sha256" not in dataset:
        return f"{dataset['title']} (no record)"
    return f"{dataset['title']} of {dataset['released']}, sha256 {dataset['sha256'][:12]}"


def _section(table: dict[str, Any], published: Sequence[Cell], title: str) -> str:
    cells = {(_key(c["method"]), c["noise_type"], c["noise_rate"]): c for c in table["cells"] if c["dataset"] == title}
    beside = stand_in(title, published)
    columns = list(dict.fromkeys(key[1:] for key in cells)) or columns_of(beside, published)
    paper = printed(beside, columns, published)
    marks, labels = marked(table), said_in_columns(list(cells.values()))
    rows = [
        row
        for method in row_names(table["methods"], published)
        for row in _with_labels(
            _method_rows(method, columns, cells, paper, beside, comparable=beside == title, marks=marks), labels
        )
    ]
    header = ["Method", *(HEADINGS if labels else ()), *(column_name(*column) for column in columns)]
    grid = tabulate(rows, header, tablefmt="github", disable_numparse=True)
    return "\n\n".join(filter(None, (f"## {title}", said_in_words(list(cells.values())), grid)))


def _with_labels(rows: Sequence[list[str]], labels: Mapping[str, tuple[str, str]]) -> list[list[str]]:
    """Return rows with the numbers of clean labels after the names, where anything is said of them."""
    blank = ("",) * len(HEADINGS)
    return [[row[0], *labels.get(row[0], blank), *row[1:]] if labels else row for row in rows]


def stand_in(title: str, published: Sequence[Cell]) -> str:
    """Return the data set whose published numbers stand beside those of `title`: itself if the paper has it."""
    titles = dict.fromkeys(cell.dataset for cell in published)
    return title if title in titles else REFERENCE if REFERENCE in titles else next(iter(titles), title)


def columns_of(title: str, published: Sequence[Cell]) -> list[Column]:
    """Return the columns that the paper has for a data set."""
    return list(dict.fromkeys(cell.noise for cell in published if cell.dataset == title))


def printed(
    title: str, columns: Sequence[Column], published: Sequence[Cell]
) -> dict[tuple[str, str, float | None], Cell]:
    """Return a data set's published cells by method and column; labels as collected stand beside any noise."""
    return {
        (cell.method_key, *column): cell
        for cell in published
        for column in columns
        if cell.dataset == title and cell.noise in (Cell("", "", *column).noise, AS_COLLECTED)
    }


def _key(method: str) -> str:
    return Cell(method, dataset="").method_key


def row_names(ours: Sequence[str], published: Sequence[Cell]) -> list[str]:
    """Return the methods of all rows, spelled as the profile does where it has the method.

    They are the paper's in its order, with those that only the profile has after the method before them.
    """
    labels = {cell.method_key: cell.method for cell in published}
    order = list(labels)
    for before, method in pairwise([None, *ours]):
        if _key(method) not in labels:
            order.insert(0 if before is None else order.index(_key(before)) + 1, _key(method))
    labels |= {_key(method): method for method in ours}
    return [labels[key] for key in order]


def _method_rows(
    method: str,
    columns: Sequence[Column],
    cells: dict[tuple[str, str, float | None], dict[str, Any]],
    paper: dict[tuple[str, str, float | None], Cell],
    beside: str,
    comparable: bool,
    marks: Container[Place],
) -> list[list[str]]:
    measured = [cells.get((_key(method), *column)) for column in columns]
    reported = [paper.get((_key(method), *column)) for column in columns]
    rows = [[method, *(_measured(cell, marks) for cell in measured)]]
    if any(reported):
        rows.append([f"↳ *paper, {beside}*", *(_published(cell) for cell in reported)])
        pairs = zip(measured, reported, strict=True)
        rows.append(["↳ *difference*", *(_difference(ours, theirs, comparable) for ours, theirs in pairs)])
    return rows


def _measured(cell: dict[str, Any] | None, marks: Container[Place]) -> str:
    if cell is None:
        return "not run"
    if cell["mean"] is None:
        return "failed"
    text = _accuracy(cell, bold=place_of(cell) in marks)
    return f"{text} ({len(cell['failed'])} failed)" if cell["failed"] else text


def _accuracy(cell: dict[str, Any], bold: bool) -> str:
    text = f"{cell['mean']:.2f}" + (f" ± {cell['std']:.2f}" if cell["std"] is not None else "")
    return f"**{text}**" if bold else text


def _published(cell: Cell | None) -> str:
    if cell is None or cell.mean is None:
        return ABSENT
    return f"{cell.mean:g}" + (f" ± {cell.std:g}" if cell.std is not None else "")


def _difference(ours: dict[str, Any] | None, theirs: Cell | None, comparable: bool) -> str:
    if ours is None or ours["mean"] is None or theirs is None or theirs.mean is None:
        return ABSENT
    text = f"{ours['mean'] - theirs.mean:+.2f}"
    return text if comparable else f"({text})"


def _failures(table: dict[str, Any]) -> list[str]:
    lines = [f"- `{item['folder']}`: {item['error']}" for cell in table["cells"] for item in cell["failed"]]
    return ["## Failed runs\n\n" + "\n".join(lines)] if lines else []
