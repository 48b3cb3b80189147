"""A comparison as text: lines for a terminal, a Markdown page, plain data."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from pipelines.official.comparison import AGREES, DIFFERS, EXPLAINED, TOLERANCE
from pipelines.official.outcome import Compared, Outcome

MEANING = {
    AGREES: "both sides compute the same",
    EXPLAINED: "they do once the named defects of the official code are undone",
    DIFFERS: "a difference that no named defect explains",
}


def lines(outcome: Outcome) -> Iterator[str]:
    """Yield a method's result for a terminal."""
    for compared in outcome.compared:
        undone = "" if compared.undone is None else f", defects undone {_number(compared.undone)}"
        title = f"{outcome.method}, {compared.case.name}"
        yield f"{title}: {_number(compared.as_it_is)}{undone}: {compared.verdict}"
    yield from (f"{outcome.method}: not compared: {problem}" for problem in outcome.problems)


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """Return the page: one row per case, the defects, what was not compared, and every part."""
    parts = [
        "# Parity with the official code\n",
        f"{_conditions()}\n",
        case_table(outcomes),
        _section("Defects of the official code", _defects(outcomes)),
        _section("Not compared", (f"{o.method}: {problem}" for o in outcomes for problem in o.problems)),
        "## Every part\n\n" + part_table(outcomes),
    ]
    return "\n".join(part for part in parts if part)


def case_table(outcomes: Sequence[Outcome]) -> str:
    """Return the largest differences of every case, those of batch norm's buffers apart, as a Markdown table."""
    head = ("method", "official code", "case", "as it is", "running statistics", "defects undone", "verdict")
    rows = [
        (
            outcome.method,
            f"{outcome.repository} {outcome.repository.commit[:7]}",
            compared.case.name,
            _number(compared.largest(statistics=False)),
            _number(compared.largest(statistics=True)),
            _number(compared.undone),
            compared.verdict,
        )
        for outcome in outcomes
        for compared in outcome.compared
    ]
    return _table(head, rows)


def part_table(outcomes: Sequence[Outcome]) -> str:
    """Return every part's difference after every number of steps, as a Markdown table."""
    head = ("method", "case", "steps", "part", "as it is", "defects undone", "verdict")
    rows = [
        [outcome.method, compared.case.name, str(row.steps), row.part, *map(_number, row[2:]), row.verdict]
        for outcome in outcomes
        for compared in outcome.compared
        for row in compared.differences
    ]
    return _table(head, rows)


def as_json(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the comparison as plain data."""
    return {
        "tolerance": TOLERANCE,
        "versions": _versions(),
        "methods": [
            {
                "method": outcome.method,
                "repository": str(outcome.repository),
                "commit": outcome.repository.commit,
                "problems": list(outcome.problems),
                "cases": [_case_json(compared) for compared in outcome.compared],
            }
            for outcome in outcomes
        ],
    }


def _case_json(compared: Compared) -> dict[str, Any]:
    return {
        "case": compared.case.name,
        "defects": list(compared.case.defects),
        "verdict": compared.verdict,
        "differences": [row._asdict() | {"verdict": row.verdict} for row in compared.differences],
    }


def _conditions() -> str:
    versions = ", ".join(f"{name} {version}" for name, version in _versions().items())
    verdicts = "; ".join(f"*{verdict}*: {meaning}" for verdict, meaning in MEANING.items())
    return (
        "Same weights, same batches, float64. The numbers are the largest relative differences, "
        "max abs(a - b) / max(abs(a), abs(b)) of a tensor, over all networks, buffers and memories; up to "
        f"{TOLERANCE:.0e} is rounding. {verdicts}. {versions}."
    )


def _versions() -> dict[str, str]:
    return {"PyTorch": torch.__version__.split("+")[0], "NumPy": np.__version__}


def _defects(outcomes: Sequence[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        named = (defect for compared in outcome.compared for defect in compared.case.defects)
        yield from (f"{outcome.method}: {defect}" for defect in dict.fromkeys(named))


def _section(title: str, items: Iterator[str]) -> str:
    listed = "".join(f"- {item}\n" for item in items)
    return f"## {title}\n\n{listed}" if listed else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1e}" if value else "0"
