"""The comparison with the paper as a page and as data: verdicts, rank agreement, known defects, and the rule."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tabulate import tabulate

from emlc.judging.cells import PUBLISHED_COLUMNS, RESULT_COLUMNS, Cell, noise_name, read_cells, read_published
from emlc.judging.comparison import DEFAULT_TOLERANCE, Comparison, RankAgreement, Row, Unmatched, compare
from emlc.judging.provenance import Absence, Defect, read_absences, read_provenance
from emlc.judging.verdicts import NOT_RUN, RULE, SIGNIFICANCE, VERDICTS
from emlc.records.artefacts import write_json, write_text
from pipelines.page.accuracies import read_table

RANKS = """\
Kendall's tau-b between measured and published means over the methods that both have (1: same order, -1: reversed);
p is the probability of a tau at least as far from 0 if the two orders had nothing to do with each other. A column that
was not measured on its own dataset is compared with those of the same noise on other datasets. Published numbers that
are not comparable stay out."""


NO_RANKS = "No method of the paper has been measured."
UNJUDGED = """\
No published number could be judged: none of its data sets and noise settings was measured, or every number that was is
known not to be what its column says. What can be read is how far the methods' order agrees."""


def summary(comparison: Comparison) -> str:
    """Return the counts per verdict in one line."""
    counts = ", ".join(f"{comparison.counts[verdict]} {verdict}" for verdict in VERDICTS)
    return f"{len(comparison.rows)} published cells: {counts} (tolerance {comparison.tolerance:g} accuracy points)"


def as_markdown(comparison: Comparison, title: str, absences: Sequence[Absence] = ()) -> str:
    """Return the comparison, and what the published table leaves out, as a Markdown page.

    Where no cell could be judged it says so and starts with what can be read all the same, the rank agreement.
    """
    cells = ["## Cells", _cell_table(comparison.rows)]
    ranks = ["## Rank agreement", RANKS, _rank_table(comparison.ranks) if comparison.ranks else NO_RANKS]
    parts = [f"# {title}", f"**{summary(comparison)}.**"]
    parts += [*cells, *ranks] if comparison.judged else [UNJUDGED, *ranks, *cells]
    if comparison.unmatched:
        parts += ["## Names that the paper does not have", _unmatched_list(comparison.unmatched)]
    if comparison.unpublished:
        parts += ["## Not in the paper", _unpublished_table(comparison.unpublished)]
    if any(row.defect for row in comparison.rows):
        parts += ["## Known defects of the published numbers", _defect_table(comparison.rows)]
    if absences:
        parts += ["## Not in the published table", _absence_table(absences)]
    return "\n\n".join([*parts, "## How the verdict is made", RULE]) + "\n"


def _unmatched_list(names: Sequence[Unmatched]) -> str:
    axes = {"method": "method", "dataset": "data set", "noise_type": "noise"}
    lines = []
    for found in names:
        nearest = "" if found.nearest is None else f" (nearest: `{found.nearest}`)"
        lines.append(f"- {axes[found.axis]} `{found.name}`{nearest}")
    return "\n".join(lines)


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    safe = [{name: text.replace("|", "\\|").replace("\n", " ") for name, text in row.items()} for row in rows]
    return tabulate(safe, headers="keys", tablefmt="pipe", disable_numparse=True)


def _cell_table(rows: Sequence[Row]) -> str:
    return _table(
        [
            {
                "Method": row.published.method,
                "Dataset": row.published.dataset,
                "Noise": _noise(row.published),
                "Published": _accuracy(row.published),
                "Measured": "; ".join(_beside(cell, row.published) for cell in row.measured if cell.mean is not None),
                "Difference": "" if row.judgement.difference is None else f"{row.judgement.difference:+.2f}",
                "Verdict": _verdict(row),
                "Why": row.judgement.why,
            }
            for row in rows
        ]
    )


def _rank_table(ranks: Sequence[RankAgreement]) -> str:
    return _table(
        [
            {
                "Noise": _noise(rank),
                "Published": rank.published_dataset,
                "Measured": rank.measured_dataset,
                "Kendall's tau": "undefined" if rank.tau is None else f"{rank.tau:.2f}",
                "p": "" if rank.p_value is None else f"{rank.p_value:.3f}",
                "n": str(len(rank.methods)),
                "Methods": ", ".join(rank.methods),
            }
            for rank in ranks
        ]
    )


def _unpublished_table(cells: Sequence[Cell]) -> str:
    return _table(
        [
            {
                "Method": cell.method,
                "Dataset": cell.dataset,
                "Noise": _noise(cell),
                "Measured": _accuracy(cell),
            }
            for cell in cells
        ]
    )


def _defect_table(rows: Sequence[Row]) -> str:
    covered: dict[Defect, list[Cell]] = {}
    for row in rows:
        if row.defect is not None:
            covered.setdefault(row.defect, []).append(row.published)
    return _table(
        [
            {
                "Method": defect.method,
                "Dataset": defect.dataset,
                "Noise": ", ".join(_noise(cell) for cell in cells),
                "Defect": ", ".join(defect.names),
                "Clean labels": "" if defect.clean_labels is None else f"{defect.clean_labels:,}",
                "Evidence": defect.evidence,
                "What is known": defect.explanation,
            }
            for defect, cells in covered.items()
        ]
    )


def _absence_table(absences: Sequence[Absence]) -> str:
    return _table(
        [
            {
                "Method": absence.method,
                "Dataset": ", ".join(absence.datasets),
                "Evidence": absence.evidence,
                "What is known": absence.explanation,
            }
            for absence in absences
        ]
    )


def _verdict(row: Row) -> str:
    judgement = row.judgement
    return judgement.verdict if judgement.verdict == NOT_RUN else f"{judgement.verdict} ({judgement.reason})"


def _beside(cell: Cell, published: Cell) -> str:
    other = "" if cell.dataset_key == published.dataset_key else f" on {cell.dataset}"
    return _accuracy(cell) + other


def _accuracy(cell: Cell) -> str:
    """Return mean ± std (n), as far as they are known."""
    spread = "" if cell.std is None else f" ± {cell.std:.2f}"
    return f"{cell.mean:.2f}{spread}" + ("" if cell.n_seeds is None else f" (n={cell.n_seeds})")


def _noise(place: Cell | RankAgreement) -> str:
    return noise_name(place.noise_type, place.noise_rate) or "as collected"


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


def with_failures(cells: Sequence[Cell], table: Mapping[str, Any]) -> list[Cell]:
    """Return the cells of a table, those with failed runs with a status that says so.

    Parameters
    ----------
    cells : sequence of Cell
    table : dict
        The same table from :func:`pipelines.page.accuracies.read_table`; CSV files do not tell of runs.
    """
    status = {
        Cell(cell["method"], cell["dataset"], cell["noise_type"], cell["noise_rate"]).key: (
            f"{len(cell['failed'])} of {len(table['seeds'])} runs failed"
        )
        for cell in table["cells"]
        if cell["failed"]
    }
    return [replace(cell, status=status.get(cell.key, cell.status)) for cell in cells]


def read_comparison(
    result: Path, published: Path, runs: Path | None = None, tolerance: float = DEFAULT_TOLERANCE
) -> tuple[Comparison, list[Absence]]:
    """Compare a table with the published one, and return what the published one leaves out, too.

    Parameters
    ----------
    result, published : Path
        CSV files; a ``provenance.yaml`` beside `published` says what is known to be wrong with its numbers.
    runs : Path, optional
        The result as JSON (:mod:`pipelines.table`), which tells failed runs.
    tolerance : float
        In accuracy points.

    Raises
    ------
    SuiteError
        If a file cannot be read or is not what it should be.
    """
    provenance = published.parent / "provenance.yaml"
    cells = read_published(published)
    defects = read_provenance(provenance) if provenance.exists() else ()
    measured = read_cells(result)
    if runs is not None:
        measured = with_failures(measured, read_table(runs))
    absences = _absences(read_absences(provenance), cells) if provenance.exists() else []
    return compare(cells, measured, tolerance, defects), absences


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
    }


def _rank_json(rank: RankAgreement) -> dict[str, Any]:
    return asdict(rank) | {"n": len(rank.methods), "tau": _rounded(rank.tau), "p_value": _rounded(rank.p_value)}


def _rounded(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
