"""Which differences between the methods of a table are real, as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from emlc.judging.cells import column_name
from emlc.judging.paired import ABOUT

SIDES = {"with_best": "Difference to the best of the column", "with_clean": "Difference to *Clean only*"}
BEST, ABSENT = "best", "–"  # noqa: RUF001  (as in the table)


def real_differences(table: Mapping[str, Any]) -> str:
    """Return the paired comparisons of a table (:mod:`pipelines.evidence.cells`): methods by columns, two sides."""
    parts = ["## Which differences are real", ABOUT]
    for title in dict.fromkeys(column["dataset"] for column in table["paired"]):
        columns = [column for column in table["paired"] if column["dataset"] == title]
        for side, heading in SIDES.items():
            if any(column[side] for column in columns):
                parts += [f"### {heading}, {title}", _table(table["methods"], columns, side)]
    return "\n\n".join(parts)


def _table(methods: Sequence[str], columns: Sequence[Mapping[str, Any]], side: str) -> str:
    rows = [[method, *(_cell(method, column, side) for column in columns)] for method in methods]
    header = ["Method", *(column_name(column["noise_type"], column["noise_rate"]) for column in columns)]
    return tabulate([row for row in rows if set(row[1:]) != {ABSENT}], header, "github", disable_numparse=True)


def _cell(method: str, column: Mapping[str, Any], side: str) -> str:
    if side == "with_best" and method == column["best"]:
        return BEST
    found = next((one for one in column[side] if one["method"] == method), None)
    if found is None:
        return ABSENT
    text = f"{found['difference']:+.2f}"
    if found["low"] is not None:
        text += f" [{found['low']:+.2f}, {found['high']:+.2f}]"
    return f"**{text}**" if found["real"] else text
