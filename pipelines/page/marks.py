"""Which numbers of a table are marked, on the page beside it and on the page of everything alike."""

from collections.abc import Mapping
from typing import Any

Place = tuple[str, str, str, float | None]


def marked(table: Mapping[str, Any]) -> set[Place]:
    """Return the cells to mark: in every column the best mean and all that cannot be told from it.

    Parameters
    ----------
    table : dict
        From :func:`pipelines.page.accuracies.read_table`.
    """
    return {
        (method, column["dataset"], column["noise_type"], column["noise_rate"])
        for column in table["paired"]
        for method in column["top"]
    }


def place_of(cell: Mapping[str, Any]) -> Place:
    """Return what identifies a cell in its table."""
    return cell["method"], cell["dataset"], cell["noise_type"], cell["noise_rate"]
