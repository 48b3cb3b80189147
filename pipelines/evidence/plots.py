"""How the suite's figures look: colours and lines that survive colour blindness and a grey printer, equal bytes."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emlc.records.artefacts import write_text

PIXELS_PER_INCH = 150


class Style(NamedTuple):
    """How one method is drawn."""

    colour: str
    line: str
    marker: str


STYLES = (
    Style("#0072b2", "-", "o"),
    Style("#d55e00", "--", "s"),
    Style("#000000", "-.", "^"),
    Style("#cc79a7", ":", "D"),
    Style("#009e73", (0, (5, 1)), "v"),
)
"""The palette of Okabe and Ito (2008), each colour with a line and a marker of its own."""

RC = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "font.size": 9,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "svg.hashsalt": "emlc",
}

styled = mpl.rc_context(RC)
"""Decorates a function that draws or saves what was drawn."""


def new_figure(width: float, height: float, panels: int = 1) -> tuple[Figure, Sequence[Axes]]:
    """Return a figure of `width` x `height` inches with `panels` axes side by side."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, panels, squeeze=False)[0]


@styled
def not_known() -> Figure:
    """Return the figure of what needs true labels where nobody knows them."""
    figure, (axes,) = new_figure(4.0, 1.5)
    axes.text(0.5, 0.5, "not known: nobody knows the true labels", ha="center", va="center", transform=axes.transAxes)
    axes.set_axis_off()
    return figure


@styled
def save_figure(figure: Figure, drawn: pd.DataFrame, caption: str, folder: Path, name: str) -> None:
    """Write `name`.png, .svg, .csv (what is drawn) and .txt (the caption); bytes depend on the arguments only."""
    for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        figure.savefig(folder / f"{name}.{suffix}", dpi=PIXELS_PER_INCH, metadata=metadata)
    drawn.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    write_text(folder / f"{name}.txt", caption + "\n")


def count(n: int, noun: str) -> str:
    """Return "n = 3 seeds", "n = 1 seed"."""
    return f"n = {n} {noun}{'' if n == 1 else 's'}"
