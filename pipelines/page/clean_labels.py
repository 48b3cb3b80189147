"""How many clean labels a table's methods trained and were selected on: in words or, where they differ, in columns."""

from collections.abc import Mapping, Sequence
from typing import Any

HEADINGS = ("Clean labels trained on", "Selected on")
TEST = "test set"
"""What chooses where the best epoch on it is reported."""

Cell = Mapping[str, Any]


def said_in_columns(cells: Sequence[Cell]) -> dict[str, tuple[str, str]]:
    """Return what stands in both columns, by method; empty if :func:`said_in_words` says it, or no cell tells.

    A cell tells if one of its runs was completed.

    Parameters
    ----------
    cells : sequence of mapping
        Of one data set (:func:`pipelines.evidence.cells.as_table`).
    """
    told = _told(cells)
    if _alike(told):
        return {}
    return {cell["method"]: (f"{cell['clean_labels']['trained']:,}", _selected(cell)) for cell in reversed(told)}


def said_in_words(cells: Sequence[Cell]) -> str:
    """Return a sentence if one clean set is both all that there is to train on and what chooses the epoch."""
    told = _told(cells)
    if not _alike(told):
        return ""
    without = dict.fromkeys(cell["method"] for cell in told if not cell["clean_labels"]["trained"])
    but = f"all methods but {', '.join(without)}" if without else "all methods"
    return f"Clean labels: {told[0]['clean_labels']['given']:,} choose the epoch; {but} train on them, too."


def _told(cells: Sequence[Cell]) -> list[Cell]:
    return [cell for cell in cells if cell.get("clean_labels", {}).get("trained") is not None]


def _alike(told: Sequence[Cell]) -> bool:
    """Whether there are cells, all with the same clean set for everything."""
    sets = {(cell["clean_labels"]["given"], cell["clean_labels"]["selected"]) for cell in told}
    return len(sets) == 1 and not any(_validated(cell) for cell in told)


def _validated(cell: Cell) -> bool:
    """Whether something else than the clean set to train on chooses the epoch."""
    return cell["recipe"].get("validation_images", 0) > 0 or not cell["clean_labels"]["selected"]


def _selected(cell: Cell) -> str:
    return TEST if cell["recipe"]["selection"] == "best-test" else f"{cell['clean_labels']['selected']:,}"
