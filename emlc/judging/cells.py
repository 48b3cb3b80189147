"""The cells of a results table: one accuracy per method, dataset and noise setting, read from tidy CSV files."""

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emlc.judging.names import dataset_key, method_key, noise_key
from emlc.records.errors import SuiteError

HUMAN = "human-"
"""How the kinds of labels begin that people gave (:mod:`emlc.data.human`)."""

RATE_DIGITS = 6
"""To which noise rates are equal: 1 - 0.8 is 0.2, in single precision, too."""

AS_COLLECTED = ("", None)
"""The noise of a cell whose labels came with the data, as on Clothing1M."""

RESULT_COLUMNS = ("method", "dataset", "noise_type", "noise_rate", "mean", "std", "n_seeds")
PUBLISHED_COLUMNS = (*RESULT_COLUMNS, "source", "note")


@dataclass(frozen=True)
class Cell:
    """One cell of a results table.

    Attributes
    ----------
    method, dataset : str
        As printed, e.g. ``EMLC (k=1)`` and ``CIFAR-10``.
    noise_type : str
        ``sym``, ``asym``, ...; empty where no noise was injected (Clothing1M).
    noise_rate : float or None
        Nominal rate in [0, 1].
    mean, std : float or None
        Test accuracy in %, None if no run of the cell has finished; sample standard deviation over seeds, in points.
    n_seeds : int or None
        Number of seeds behind `mean`.
    status : str
        What the table says about the cell's runs, e.g. ``failed``; empty if it says nothing.
    source, note : str
        Where a published number comes from and what is known to be wrong with it.
    recipe : mapping
        What the cell's runs were trained by (:mod:`emlc.judging.recipes`); empty if the table does not say.
    by_seed : mapping of str to float
        Test accuracy in % of the runs that completed, by seed; empty if the table does not say.
    """

    method: str
    dataset: str
    noise_type: str = ""
    noise_rate: float | None = None
    mean: float | None = None
    std: float | None = None
    n_seeds: int | None = None
    status: str = ""
    source: str = ""
    note: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict, hash=False)
    by_seed: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def noise(self) -> tuple[str, float | None]:
        """The noise setting, spelling and rounding aside, without the dataset."""
        return noise_key(self.noise_type), None if self.noise_rate is None else round(self.noise_rate, RATE_DIGITS)

    @property
    def method_key(self) -> str:
        """The method's name, spelling aside: the paper's tables spell Cross-Entropy in two ways."""
        return method_key(self.method)

    @property
    def dataset_key(self) -> str:
        """The dataset's name, spelling aside."""
        return dataset_key(self.dataset)

    @property
    def key(self) -> tuple[str, str, str, float | None]:
        """What identifies the cell in its table."""
        return (self.method_key, self.dataset_key, *self.noise)


WORDS: Mapping[str, str] = {
    "idn-part-dependent": "Instance-dep.",
    **{f"pmd-type{number}": f"PMD type {number}" for number in (1, 2, 3)},
    "matrix": "Matrix",
}
"""Kinds of noise that are no abbreviations of words."""


def noise_name(noise_type: str, rate: float | None) -> str:
    """Return a noise setting in words, e.g. ``Sym. 50%`` or, for human labels, ``Worst 40.21%``; empty for none."""
    return " ".join(filter(None, (_kind_name(noise_type), "" if rate is None else f"{100 * rate:g}%")))


def _kind_name(noise_type: str) -> str:
    kind = noise_type.removeprefix(HUMAN).capitalize()
    stop = "" if kind == "" or noise_type.startswith(HUMAN) else "."
    return WORDS.get(noise_type, kind + stop)


def column_name(noise_type: str, rate: float | None) -> str:
    """Return the heading of a table's column: the paper leaves symmetric noise unsaid, e.g. ``50%``, ``Asym. 40%``."""
    return "Accuracy" if rate is None else noise_name(noise_type, rate).removeprefix("Sym. ")


def read_cells(path: Path, columns: Sequence[str] = RESULT_COLUMNS) -> list[Cell]:
    """Read a tidy table, e.g. ``results/table1.csv``; columns beyond `columns` and ``status`` are ignored.

    Raises
    ------
    SuiteError
        If the file cannot be read, is not CSV, lacks a column, holds a value that cannot be right or a cell twice.
    """
    cells: dict[tuple, Cell] = {}
    for place, row in _rows(Path(path), columns):
        cell = _cell(row, place)
        if cell.key in cells:
            label = " ".join(filter(None, (cell.method, cell.dataset, row["noise_type"], row["noise_rate"])))
            raise SuiteError(f"{place}: {label} is there twice; keep one row per cell")
        cells[cell.key] = cell
    _check_percent(path, [cell.mean for cell in cells.values() if cell.mean is not None])
    return list(cells.values())


def _check_percent(path: Path, means: Sequence[float]) -> None:
    if means and max(means) <= 1:
        raise SuiteError(f"{path}: all means are at most 1, so they are fractions; write accuracies in %")


def read_published(path: Path) -> list[Cell]:
    """Read a table of published numbers, e.g. ``published/table1.csv``; every row must have a mean.

    Raises
    ------
    SuiteError
        As :func:`read_cells`, and if a mean is missing or the table is empty.
    """
    cells = read_cells(path, PUBLISHED_COLUMNS)
    for cell in cells:
        if cell.mean is None:
            raise SuiteError(f"{path}: {cell.method} on {cell.dataset} has no mean; leave the row out instead")
    if not cells:
        raise SuiteError(f"{path} holds no cell, so there is nothing to compare with")
    return cells


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each row as a mapping, with the place to name in an error message."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.reader(handle, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(path, header, columns)
            for values in reader:
                place = f"{path}, line {reader.line_num}"
                if len(values) not in (0, len(header)):
                    raise SuiteError(
                        f"{place}: {len(values)} values for {len(header)} columns; quote values with commas"
                    )
                if values:
                    yield place, dict(zip(header, (value.strip() for value in values), strict=True))
    except OSError as error:
        raise SuiteError(f"cannot read {path}: {error.strerror or error}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise SuiteError(f"{path} is not a CSV file in UTF-8 ({error})") from error


def _check_header(path: Path, header: Sequence[str], columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in header]
    if missing and any(";" in name for name in header):
        raise SuiteError(f"{path} separates its values by semicolons; save it with commas")
    if missing:
        raise SuiteError(
            f"{path} lacks the column(s) {', '.join(missing)}; its first line must name {', '.join(columns)}"
        )
    if len(set(header)) < len(header):
        raise SuiteError(f"{path} names a column twice; give every column its own name")


def _cell(row: Mapping[str, str], place: str) -> Cell:
    for name in ("method", "dataset"):
        if not row[name]:
            raise SuiteError(f"{place}: {name} is empty; every cell needs one")
    mean, seeds = _number(row, "mean", 100, place), _number(row, "n_seeds", math.inf, place)
    if seeds is not None and seeds != int(seeds):
        raise SuiteError(f"{place}: n_seeds is {row['n_seeds']!r}; write a whole number")
    if mean is not None and seeds == 0:
        raise SuiteError(f"{place}: a mean over 0 seeds; leave the mean empty or correct n_seeds")
    texts = {name: row.get(name, "") for name in ("method", "dataset", "noise_type", "status", "source", "note")}
    return Cell(
        noise_rate=_number(row, "noise_rate", 1, place),
        mean=mean,
        std=_number(row, "std", 100, place),
        n_seeds=None if seeds is None else int(seeds),
        **texts,
    )


def _number(row: Mapping[str, str], name: str, largest: float, place: str) -> float | None:
    """Return a value in [0, largest], finite, or None where the table has none."""
    if not row[name]:
        return None
    try:
        value = float(row[name])
    except ValueError:
        raise SuiteError(f"{place}: {name} is {row[name]!r}, not a number; correct it or leave it empty") from None
    if not (math.isfinite(value) and 0 <= value <= largest):
        limits = "at least 0" if largest == math.inf else f"between 0 and {largest:g}"
        raise SuiteError(f"{place}: {name} is {row[name]}; it must be finite and {limits}")
    return value
