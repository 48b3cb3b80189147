"""What expressions of claims read from CSV files: one number, a mean, the least, the last."""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emlc.judging.ledger.evidence import Functions
from emlc.judging.ledger.logic import MissingNumberError
from emlc.judging.ledger.steps import Reading
from emlc.records.errors import SuiteError

Row = dict[str, str]


@dataclass(frozen=True)
class CsvFiles:
    """CSV files in which expressions look numbers up.

    Attributes
    ----------
    files : mapping of str to Path
        By their names, e.g. ``figures/fig1.csv``; expressions leave the suffix out.
    absent : str
        Says in a message what it means that there is no such file, which it calls ``{file}``.
    """

    files: Mapping[str, Path]
    absent: str

    def functions(self) -> Functions:
        """Return what expressions may call, by name."""
        return {"value": self.value, "average": self.average, "least": self.least, "last": self.last}

    def value(self, file: str, column: str, **where: Any) -> Reading:
        """Return the one number in the rows that fit all of `where`."""
        rows, what = self._chosen(file, column, where)
        numbers = {float(row[column]) for row in rows}
        if len(numbers) > 1:
            raise MissingNumberError(f"{len(rows)} different rows for {what}")
        return Reading(numbers.pop(), what)

    def average(self, file: str, column: str, **where: Any) -> Reading:
        """Return the mean over these rows."""
        rows, what = self._chosen(file, column, where)
        return _average([float(row[column]) for row in rows], what)

    def least(self, file: str, column: str, **where: Any) -> Reading:
        """Return the smallest number in these rows."""
        rows, what = self._chosen(file, column, where)
        smallest = min(float(row[column]) for row in rows)
        return Reading(smallest, f"least {what}", f"{smallest:.4g}, n = {len(rows)}")

    def last(self, file: str, column: str, by: str, **where: Any) -> Reading:
        """Return the mean over those of these rows in which the column `by`, e.g. ``epoch``, is largest."""
        rows, what = self._chosen(file, column, where)
        if not all(is_number(row.get(by)) for row in rows):
            raise MissingNumberError(f"no column of numbers {by} for {what}")
        end = max(float(row[by]) for row in rows)
        return _average([float(row[column]) for row in rows if float(row[by]) == end], f"{what}, {by} {end:g}")

    def _chosen(self, file: str, column: str, where: Mapping[str, Any]) -> tuple[list[Row], str]:
        """Return the rows that fit, and have a number in a column, and in words what was asked for."""
        rows = [row for row in self._rows(file) if all(_fits(row, key, part) for key, part in where.items())]
        what = f"{file}.csv, {', '.join([column, *(f'{key} {part}' for key, part in where.items())])}"
        rows = [row for row in rows if is_number(row.get(column))]
        if not rows:
            raise MissingNumberError(f"no number for {what}")
        return rows, what

    def _rows(self, file: str) -> list[Row]:
        if not re.fullmatch(r"[a-z0-9_]+(/[a-z0-9_]+)?", file):
            raise SuiteError(f"{file!r} is no name of a file of numbers: lower case letters, digits, one slash at most")
        name = f"{file}.csv"
        if name not in self.files:
            raise MissingNumberError(self.absent.format(file=name.rpartition("/")[2]))
        path = self.files[name]
        try:
            with path.open(newline="", encoding="utf-8") as handle:
                return list(csv.DictReader(handle))
        except (OSError, csv.Error, UnicodeDecodeError) as error:
            raise SuiteError(f"cannot read {path}: {error}") from error


def is_number(text: str | None) -> bool:
    """Whether a value of a CSV file is a number."""
    try:
        float(text or "")
    except ValueError:
        return False
    return True


def _average(numbers: Sequence[float], what: str) -> Reading:
    mean = math.fsum(numbers) / len(numbers)
    return Reading(mean, what, f"{mean:.4g}, n = {len(numbers)}")


def _fits(row: Mapping[str, str], key: str, wanted: Any) -> bool:
    text = row.get(key) or ""
    if isinstance(wanted, str):
        return text == wanted
    return is_number(text) and float(text) == wanted
