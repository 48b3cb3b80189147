"""Compare a results table with the paper's, cell by cell.

``python -m pipelines.compare RESULT.csv PUBLISHED.csv [--table RESULT.json] [--json OUT] [--md OUT]
[--tolerance POINTS]``

The rule of the verdicts is `emlc.judging.verdicts.RULE`: a test of equivalence and one of difference and, where they
cannot tell, the tolerance on the means. A ``provenance.yaml`` beside PUBLISHED.csv names the published numbers with
known defects; RESULT.json, the same table with its runs, names those that failed. Exit status: 0 every comparable cell
is reproduced, 1 at least one deviates, 2 bad usage or unreadable input.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from emlc.judging.cells import PUBLISHED_COLUMNS, RESULT_COLUMNS, Cell, read_cells, read_published
from emlc.judging.comparison import DEFAULT_TOLERANCE, Comparison, RankAgreement, Row, compare, rank_agreement
from emlc.judging.provenance import Absence, read_absences, read_provenance
from emlc.judging.verdicts import DEVIATES, RULE, SIGNIFICANCE, judge
from emlc.records.artefacts import write_json, write_text
from emlc.records.errors import SuiteError
from pipelines.machine.cli import Parser, run
from pipelines.page.accuracies import read_table
from pipelines.page.comparison import as_markdown, summary

__all__ = ["as_json", "as_markdown", "compare", "judge", "main", "rank_agreement", "read_cells", "summary"]

DIGITS = 6  # significant digits of computed numbers in the JSON, so that its bytes do not hang on the machine


def main(argv: Sequence[str]) -> int:
    """Run the step; the exit status is 1 if a cell deviates, else 0."""
    arguments = _parser().parse_args(argv)
    outputs = [path for path in (arguments.json, arguments.md) if path is not None]
    inputs = [arguments.result, arguments.published, arguments.table]
    _refuse_overwriting([path for path in inputs if path is not None], outputs)
    provenance = arguments.published.parent / "provenance.yaml"
    published = read_published(arguments.published)
    defects = read_provenance(provenance) if provenance.exists() else ()
    measured = read_cells(arguments.result)
    if arguments.table is not None:
        measured = with_failures(measured, read_table(arguments.table))
    comparison = compare(published, measured, arguments.tolerance, defects)
    absences = _absences(read_absences(provenance), published) if provenance.exists() else []
    if arguments.json is not None:
        write_json(arguments.json, as_json(comparison) | {"absent": [asdict(absence) for absence in absences]})
    if arguments.md is not None:
        write_text(arguments.md, as_markdown(comparison, f"{arguments.result.name} against the paper", absences))
    print(summary(comparison))
    return int(comparison.counts[DEVIATES] > 0)


def write_comparison(result: Path, published: Path, runs: Path, md: Path, out: Path) -> None:
    """Compare a table with the published one and write both files."""
    main([str(result), str(published), "--table", str(runs), "--md", str(md), "--json", str(out)])


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return the comparison as plain data; empty values are null."""
    return {
        "tolerance": comparison.tolerance,
        "significance": SIGNIFICANCE,
        "rule": RULE,
        "counts": comparison.counts,
        "cells": [_row_json(row) for row in comparison.rows],
        "rank_agreement": [_rank_json(rank) for rank in comparison.ranks],
        "not_in_the_paper": [_cell_json(cell, RESULT_COLUMNS) for cell in comparison.unpublished],
    }


def with_failures(cells: Sequence[Cell], table: Mapping[str, Any]) -> list[Cell]:
    """Return the cells of a table, those with failed runs with a status that says so.

    Parameters
    ----------
    cells : sequence of Cell
    table : dict
        The same table from :func:`pipelines.table.read_table`; CSV files do not tell of runs.
    """
    status = {
        Cell(cell["method"], cell["dataset"], cell["noise_type"], cell["noise_rate"]).key: (
            f"{len(cell['failed'])} of {len(table['seeds'])} runs failed"
        )
        for cell in table["cells"]
        if cell["failed"]
    }
    return [replace(cell, status=status.get(cell.key, cell.status)) for cell in cells]


def _absences(absences: Sequence[Absence], published: Sequence[Cell]) -> list[Absence]:
    """Those of the datasets of a published table."""
    datasets = {cell.dataset for cell in published}
    return [absence for absence in absences if datasets & {*absence.datasets}]


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="pipelines.compare", description="Compare a results table with the paper's, cell by cell.")
    parser.add_argument("result", metavar="RESULT.csv", type=Path, help=f"columns {','.join(RESULT_COLUMNS)}")
    parser.add_argument("published", metavar="PUBLISHED.csv", type=Path, help=f"columns {','.join(PUBLISHED_COLUMNS)}")
    parser.add_argument(
        "--table",
        metavar="RESULT.json",
        type=Path,
        help="the result as JSON (pipelines.aggregate), to tell failed runs",
    )
    parser.add_argument("--json", metavar="OUT", type=Path, help="write the comparison as JSON")
    parser.add_argument("--md", metavar="OUT", type=Path, help="write the comparison as Markdown")
    parser.add_argument(
        "--tolerance",
        metavar="POINTS",
        type=_points,
        default=DEFAULT_TOLERANCE,
        help="largest difference in accuracy points that counts as reproduced (default: %(default)s)",
    )
    return parser


def _refuse_overwriting(inputs: Sequence[Path], outputs: Sequence[Path]) -> None:
    places = {path.resolve() for path in outputs}
    if len(places) < len(outputs) or places & {path.resolve() for path in inputs}:
        raise SuiteError("--json and --md must name two files that are not the inputs")


def _points(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of accuracy points, finite and at least 0")
    return value


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


if __name__ == "__main__":
    run(main)
