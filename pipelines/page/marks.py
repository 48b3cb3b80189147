"""Which numbers of a table are marked, on the page beside it and on the page of everything alike."""

from collections.abc import Mapping
from typing import Any

Place = tuple[str, str, str, float | None]


def marked(table: Mapping[str, Any]) -> set[Place]:
    """Return the cells to mark: in every column those with the best mean.

    This is the one place that decides it; what a table says about differences that are not distinguishable from the
    best belongs here.

    Parameters
    ----------
    table : dict
        From :func:`pipelines.page.accuracies.read_table`.
    """
    best: dict[tuple[Any, ...], float] = {}
    for cell in table["cells"]:
        if cell["mean"] is not None:
            column = place_of(cell)[1:]
            best[column] = max(cell["mean"], best.get(column, cell["mean"]))
    finished = (cell for cell in table["cells"] if cell["mean"] is not None)
    return {place_of(cell) for cell in finished if cell["mean"] == best[place_of(cell)[1:]]}


def place_of(cell: Mapping[str, Any]) -> Place:
    """Return what identifies a cell in its table."""
    return cell["method"], cell["dataset"], cell["noise_type"], cell["noise_rate"]
