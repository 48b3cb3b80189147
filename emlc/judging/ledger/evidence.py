"""The numbers that claims are about, under the names that their expressions use: the paper's or those of records."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from emlc.judging.cells import Cell, noise_name
from emlc.judging.ledger.logic import MissingNumberError
from emlc.judging.ledger.steps import Reading
from emlc.judging.provenance import Defect
from emlc.records.errors import SuiteError

Functions = Mapping[str, Callable[..., Any]]


def table_functions(cells: Sequence[Cell], printed: Sequence[Cell], stand_in: str = "") -> Functions:
    """Return the functions that read a table.

    Parameters
    ----------
    cells : sequence of Cell
        Where the numbers come from.
    printed : sequence of Cell
        The cells that the paper prints: an expression can name no other, and they are the rivals in ``best``.
    stand_in : str
        The data set that `cells` are of where it is not the one that the expression names.

    Returns
    -------
    mapping of str to callable
        ``cell(method, dataset, noise_type, rate)``: its mean. ``best(methods, dataset, noise_type, rate)``: the largest
        mean in a column of those `methods` that the paper prints there, all of which must be known.
    """
    known = {cell.key: cell for cell in cells if cell.mean is not None}
    paper = {cell.key for cell in printed}

    def named(method: str, dataset: str, noise_type: str = "", rate: float | None = None) -> Cell:
        return Cell(method, dataset, noise_type, None if rate is None else float(rate))

    def cell(method: str, dataset: str, noise_type: str = "", rate: float | None = None) -> Reading:
        wanted = named(method, dataset, noise_type, rate)
        if wanted.key not in paper:
            raise SuiteError(f"the paper prints no cell {label(wanted)}")
        if wanted.key not in known:
            raise MissingNumberError(f"no number for {label(wanted)}")
        return _reading(known[wanted.key], label(replace(wanted, dataset=stand_in or dataset)))

    def best(methods: Sequence[str], dataset: str, noise_type: str = "", rate: float | None = None) -> Reading:
        rivals = [named(method, dataset, noise_type, rate) for method in methods]
        there = [rival for rival in rivals if rival.key in paper]
        if not there:
            raise SuiteError(f"the paper prints no cell of {', '.join(methods)} in {column(rivals[0])}")
        return max((cell(r.method, r.dataset, r.noise_type, r.noise_rate) for r in there), key=lambda read: read.value)

    return {"cell": cell, "best": best}


def elsewhere_function(cells: Sequence[Cell]) -> Functions:
    """Return ``elsewhere(method, dataset, noise_type, rate)``: numbers of other publications, the same for everyone."""
    known = {cell.key: cell for cell in cells}

    def elsewhere(method: str, dataset: str, noise_type: str = "", rate: float | None = None) -> Reading:
        wanted = Cell(method, dataset, noise_type, None if rate is None else float(rate))
        if wanted.key not in known:
            raise SuiteError(f"no number published elsewhere is at hand for {label(wanted)}")
        return _reading(known[wanted.key], label(wanted))

    return {"elsewhere": elsewhere}


def defects_function(provenance: Sequence[Defect], printed: Sequence[Cell]) -> Functions:
    """Return ``defects(name, dataset)``: how many printed cells have a defect (of all data sets without `dataset`)."""
    names = sorted({name for defect in provenance for name in defect.names})

    def defects(name: str, dataset: str | None = None) -> Reading:
        if name not in names:
            raise SuiteError(f"no cell has a defect {name!r}; known: {', '.join(names)}")
        found = [
            cell
            for cell in printed
            if dataset in (None, cell.dataset) and any(d.covers(cell) and name in d.names for d in provenance)
        ]
        whose = ", ".join(dict.fromkeys(cell.method for cell in found))
        return Reading(len(found), f"cells with defect {name}" + (f" on {dataset}" if dataset else ""), whose or "none")

    return {"defects": defects}


def no_numbers(names: Iterable[str], why: str) -> Functions:
    """Return functions of these names that all say why there is no number."""

    def refuse(*what: Any, **where: Any) -> Reading:
        raise MissingNumberError(why)

    return dict.fromkeys(names, refuse)


def on_dataset(cells: Sequence[Cell], dataset: str, printed: Sequence[Cell]) -> list[Cell]:
    """Return the cells of one measured dataset as if they stood for each dataset that the paper prints."""
    own = [cell for cell in cells if cell.dataset == dataset]
    return [replace(cell, dataset=name) for name in dict.fromkeys(cell.dataset for cell in printed) for cell in own]


def label(cell: Cell) -> str:
    """Return a cell's name in words, e.g. ``EMLC (k=1), CIFAR-10, Sym. 90%``."""
    return f"{cell.method}, {column(cell)}"


def column(cell: Cell) -> str:
    """Return the name of a cell's column in words."""
    return ", ".join(filter(None, (cell.dataset, noise_name(cell.noise_type, cell.noise_rate))))


def _reading(cell: Cell, text: str) -> Reading:
    if cell.mean is None:
        raise MissingNumberError(f"no number for {text}")
    shown = f"{cell.mean:.2f}" + ("" if cell.std is None else f" ± {cell.std:.2f}")
    return Reading(cell.mean, text, shown, cell.by_seed)
