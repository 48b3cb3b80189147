"""The comparison with the paper as a page and as data: verdicts, rank agreement, known defects, and the rule."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from emlc.judging.cells import PUBLISHED_COLUMNS, RESULT_COLUMNS, Cell, read_cells, read_published
from emlc.judging.comparison import DEFAULT_TOLERANCE, Comparison, RankAgreement, Row, compare
from emlc.judging.provenance import Absence, read_absences, read_provenance
from emlc.judging.recipes import read_recipes
from emlc.judging.verdicts import DATASET, NOT_RUN, RECIPE, RULE, SIGNIFICANCE, VERDICTS, Judgement
from emlc.records.artefacts import write_json, write_text
from pipelines.evidence.behind import with_runs
from pipelines.page.comparison_tables import (
    absence_table,
    cell_table,
    defect_table,
    rank_table,
    unmatched_list,
    unpublished_table,
)

RANKS = """\
Kendall's tau-b between measured and published means over the methods that both have (1: same order, -1: reversed);
p is the probability of a tau at least as far from 0 if the two orders had nothing to do with each other. A column that
was not measured on its own dataset is compared with those of the same noise on other datasets (with any noise, where
the published labels are as they were collected). Published numbers that are not what their column says stay out."""

NO_RANKS = "No method of the paper has been measured."
OBSTACLES = {DATASET: "measured on other data sets only", RECIPE: "run by another recipe than theirs"}


def summary(comparison: Comparison) -> str:
    """Return the counts per verdict in one line."""
    counts = ", ".join(f"{comparison.counts[verdict]} {verdict}" for verdict in VERDICTS)
    return f"{len(comparison.rows)} published cells: {counts} (tolerance {comparison.tolerance:g} accuracy points)"


def unjudged(comparison: Comparison) -> str:
    """Return why no published number could be judged, and what can be read all the same."""
    found = Counter(_obstacle(row.judgement) for row in comparison.rows)
    why = f"No published number could be judged: {', '.join(f'{n} {text}' for text, n in found.items())}."
    return f"{why} What can be read is how far the methods' order agrees." if comparison.ranks else why


def _obstacle(judgement: Judgement) -> str:
    if judgement.verdict == NOT_RUN:
        return NOT_RUN
    return OBSTACLES.get(judgement.reason, "not what their column says")


def as_markdown(comparison: Comparison, title: str, absences: Sequence[Absence] = ()) -> str:
    """Return the comparison, and what the published table leaves out, as a Markdown page.

    Where no cell could be judged it says so and starts with what can be read all the same, the rank agreement.
    """
    cells = ["## Cells", cell_table(comparison.rows)]
    ranks = ["## Rank agreement", RANKS, rank_table(comparison.ranks) if comparison.ranks else NO_RANKS]
    parts = [f"# {title}", f"**{summary(comparison)}.**"]
    parts += [*cells, *ranks] if comparison.judged else [unjudged(comparison), *ranks, *cells]
    if comparison.unmatched:
        parts += ["## Names that the paper does not have", unmatched_list(comparison.unmatched)]
    if comparison.unpublished:
        parts += ["## Not in the paper", unpublished_table(comparison.unpublished)]
    if any(row.defect for row in comparison.rows):
        parts += ["## Known defects of the published numbers", defect_table(comparison.rows)]
    if absences:
        parts += ["## Not in the published table", absence_table(absences)]
    return "\n\n".join([*parts, "## How the verdict is made", RULE]) + "\n"


DIGITS = 6
"""Significant digits of computed numbers in the JSON, so that its bytes do not hang on the machine."""


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as plain data; empty values are null."""
    return {
        "tolerance": comparison.tolerance,
        "significance": SIGNIFICANCE,
        "rule": RULE,
        "counts": comparison.counts,
        "cells": [_row_json(row) for row in comparison.rows],
        "rank_agreement": [_rank_json(rank) for rank in comparison.ranks],
        "unmatched": [asdict(found) for found in comparison.unmatched],
        "not_in_the_paper": [_cell_json(cell, RESULT_COLUMNS) for cell in comparison.unpublished],
    }


def read_comparison(
    result: Path, published: Path, runs: Path | None = None, tolerance: float = DEFAULT_TOLERANCE
) -> tuple[Comparison, list[Absence]]:
    """Compare a table with the published one, and return what the published one leaves out, too.

    Parameters
    ----------
    result, published : Path
        CSV files; a ``provenance.yaml`` beside `published` says what its numbers were trained by and what is wrong with
        them.
    runs : Path, optional
        The result as JSON (:mod:`pipelines.table`), which tells failed runs and recipes.
    tolerance : float
        In accuracy points.

    Raises
    ------
    SuiteError
        If a file cannot be read or is not what it should be.
    """
    cells, measured = read_published(published), read_cells(result)
    if runs is not None:
        measured = with_runs(measured, runs)
    provenance = published.parent / "provenance.yaml"
    if not provenance.exists():
        return compare(cells, measured, tolerance), []
    comparison = compare(cells, measured, tolerance, read_provenance(provenance), read_recipes(provenance))
    return comparison, _absences(read_absences(provenance), cells)


def write_comparison(found: tuple[Comparison, list[Absence]], name: str, md: Path | None, out: Path | None) -> None:
    """Write a comparison as a page and as JSON, each where a path is given."""
    comparison, absences = found
    if out is not None:
        write_json(out, as_json(comparison) | {"absent": [asdict(absence) for absence in absences]})
    if md is not None:
        write_text(md, as_markdown(comparison, f"{name} against the paper", absences))


def _absences(absences: Sequence[Absence], published: Sequence[Cell]) -> list[Absence]:
    """Those of the datasets of a published table."""
    datasets = {cell.dataset for cell in published}
    return [absence for absence in absences if datasets & {*absence.datasets}]


def _cell_json(cell: Cell, columns: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(cell, name) for name in columns}


def _row_json(row: Row) -> dict[str, Any]:
    judgement = row.judgement
    test = None if judgement.test is None else {key: _rounded(value) for key, value in asdict(judgement.test).items()}
    return {
        "published": _cell_json(row.published, PUBLISHED_COLUMNS),
        "measured": [_cell_json(cell, (*RESULT_COLUMNS, "status")) for cell in row.measured],
        "difference": _rounded(judgement.difference),
        "verdict": judgement.verdict,
        "reason": judgement.reason,
        "why": judgement.why,
        "test": test,
        "defect": None if row.defect is None else asdict(row.defect),
        "recipe_differences": [asdict(difference) for difference in row.differences],
    }


def _rank_json(rank: RankAgreement) -> dict[str, Any]:
    return asdict(rank) | {"n": len(rank.methods), "tau": _rounded(rank.tau), "p_value": _rounded(rank.p_value)}


def _rounded(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
