"""The numbers that the paper's claims are judged on: the paper's own, the measured ones, and those that stand in."""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from emlc.judging.cells import Cell, noise_name, read_published
from emlc.judging.ledger.claims import Claim
from emlc.judging.ledger.csv_files import CsvFiles
from emlc.judging.ledger.evidence import (
    Functions,
    defects_function,
    elsewhere_function,
    no_numbers,
    on_dataset,
    table_functions,
)
from emlc.judging.provenance import read_provenance
from pipelines.evidence.measured import Measured

PAPERS_TABLES = ("table1", "table2")

NOT_TO_MEASURE = no_numbers(["defects"], "a claim about the paper's own numbers, which no record decides")


class Paper(NamedTuple):
    """What the paper prints.

    Attributes
    ----------
    tables : dict
        Its tables by name; a profile's table of the same name is the measured one.
    files, elsewhere, defects : mapping
        The functions that read its other numbers, other publications' numbers, and known defects.
    """

    tables: Mapping[str, Sequence[Cell]]
    files: Functions
    elsewhere: Functions
    defects: Functions

    @property
    def cells(self) -> list[Cell]:
        """The cells of all tables."""
        return [cell for table in self.tables.values() for cell in table]

    @property
    def datasets(self) -> set[str]:
        """The data sets of all tables, spelling aside."""
        return {cell.dataset_key for cell in self.cells}


def read_paper(folder: Path) -> Paper:
    """Read the published numbers.

    Raises
    ------
    SuiteError
        If a file cannot be read.
    """
    tables = {name: read_published(folder / f"{name}.csv") for name in PAPERS_TABLES}
    files = CsvFiles({path.name: path for path in folder.glob("*.csv")}, "the paper prints no number of this kind")
    elsewhere = elsewhere_function(read_published(folder / "elsewhere.csv"))
    cells = [cell for table in tables.values() for cell in table]
    return Paper(
        tables, files.functions(), elsewhere, defects_function(read_provenance(folder / "provenance.yaml"), cells)
    )


class StandIn(NamedTuple):
    """A measured data set that the paper does not have, in the place of one that it has.

    Attributes
    ----------
    title : str
        What pages call it.
    dataset : str
    table : str
        Whose cells stand in; empty if the numbers are those of figures.
    noise : tuple, optional
        The column that stands in where the paper's has no noise drawn (Clothing1M).
    """

    title: str
    dataset: str
    table: str = ""
    noise: tuple[str, float | None] | None = None


@dataclass(frozen=True)
class Numbers:
    """Everything that claims are judged on."""

    paper: Paper
    own: Measured

    @cached_property
    def datasets(self) -> list[str]:
        """The titles of the data sets with a number in a table."""
        cells = (cell for table in self.own.tables.values() for cell in table["cells"])
        return list(dict.fromkeys(cell["dataset"] for cell in cells if cell["mean"] is not None))

    @cached_property
    def seeds(self) -> list[int]:
        """The seeds of all tables."""
        return list(dict.fromkeys(seed for table in self.own.tables.values() for seed in table["seeds"]))

    @cached_property
    def files(self) -> Functions:
        """The functions that read the measured files."""
        return CsvFiles(self.own.files, "{file} was not made").functions()

    def of_the_paper(self) -> Functions:
        """Return what expressions read on the published side."""
        tables = table_functions(self.paper.cells, self.paper.cells)
        return {**tables, **self.paper.files, **self.paper.elsewhere, **self.paper.defects}

    def measured(self, claim: Claim, seed: int | None = None) -> Functions:
        """Return what they read on the measured side, the mean over seeds or one of them."""
        tables = table_functions(self._cells(seed), self.paper.cells)
        files = self.files
        if claim.dataset and any(title != claim.dataset for title in self._places(claim)):
            files = no_numbers(files, f"nothing was run on {claim.dataset}")
        return {**tables, **files, **self.paper.elsewhere, **NOT_TO_MEASURE}

    def transferred(self, other: StandIn, seed: int | None = None) -> Functions:
        """Return what they read where another measured data set stands in for the paper's."""
        printed = self.paper.tables.get(other.table, ())
        own = _standing(_scores(self.own.tables[other.table], seed), other) if printed else []
        tables = table_functions(on_dataset(own, other.dataset, printed), self.paper.cells, other.title)
        return {**tables, **self.files, **self.paper.elsewhere, **NOT_TO_MEASURE}

    def stand_ins(self, claim: Claim, groups: Mapping[str, Any]) -> list[StandIn]:
        """Return the data sets on which a claim can be judged too, though the paper does not have them."""
        if not claim.transfers:
            return []
        if claim.evidence != "table":
            foreign = [title for title in self._places(claim) if Cell("", title).dataset_key not in self.paper.datasets]
            return [StandIn(title, title) for title in foreign]
        words = set(_words(claim, groups))
        tables = [name for name in self.own.tables if words & set(_titles(self.paper.tables.get(name, ())))]
        return [other for name in tables for other in self._of_table(name)]

    def _of_table(self, name: str) -> Iterator[StandIn]:
        finished = [cell for cell in _scores(self.own.tables[name], None) if cell.mean is not None]
        columns = dict.fromkeys((cell.dataset, cell.noise_type, cell.noise_rate) for cell in finished)
        foreign = [place for place in columns if Cell("", place[0]).dataset_key not in self.paper.datasets]
        if all(cell.noise_rate is None for cell in self.paper.tables[name]):
            for title, *noise in foreign:
                yield StandIn(f"{title}, {noise_name(*noise)}", title, name, tuple(noise))
        else:
            yield from (StandIn(title, title, name) for title in dict.fromkeys(title for title, *_ in foreign))

    def _places(self, claim: Claim) -> list[str]:
        """Return the data sets of the files that a claim reads."""
        found = [self.own.places[word] for word in _words(claim, {}) if word in self.own.places]
        return list(dict.fromkeys(found))

    def _cells(self, seed: int | None) -> list[Cell]:
        """Return the measured cells, each once: what the paper prints in a table, from the profile's of this name."""
        found: dict[Any, Cell] = {}
        for name, table in self.own.tables.items():
            home = {cell.key for cell in self.paper.tables.get(name, ())}
            for cell in _scores(table, seed):
                if cell.key not in found or cell.key in home:
                    found[cell.key] = cell
        return list(found.values())


def _scores(table: Mapping[str, Any], seed: int | None) -> Iterator[Cell]:
    """Yield the cells of a table: the means over seeds, or one seed's."""
    for cell in table["cells"]:
        name = Cell(cell["method"], cell["dataset"], cell["noise_type"], cell["noise_rate"])
        if seed is None:
            yield replace(name, mean=cell["mean"], std=cell["std"], by_seed=cell["by_seed"])
        else:
            yield replace(name, mean=cell["by_seed"].get(str(seed)))


def _standing(cells: Iterable[Cell], other: StandIn) -> list[Cell]:
    """Return the cells that stand in, without their noise where the paper draws none."""
    if other.noise is None:
        return list(cells)
    own = [cell for cell in cells if (cell.noise_type, cell.noise_rate) == other.noise]
    return [replace(cell, noise_type="", noise_rate=None) for cell in own]


def _titles(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.dataset for cell in cells))


def _words(claim: Claim, groups: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts that a claim's expression names, those of groups included."""
    for node in ast.walk(claim.main.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        if isinstance(node, ast.Name) and node.id in groups:
            yield from _flat(groups[node.id])


def _flat(values: Sequence[Any]) -> Iterator[str]:
    for value in values:
        yield from [value] if isinstance(value, str) else _flat(value) if isinstance(value, list | tuple) else []
