"""How the suite's figures look: colours and lines that survive colour blindness and a grey printer, equal bytes."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import matplotlib.figure
import pandas as pd

from emlc.judging.cells import noise_name
from emlc.records.artefacts import atomic_path, write_text
from pipelines.machine.cli import Parser
from pipelines.profile.settings import DEFAULT_PROFILE, Settings, dataset_title

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
"""Decorates a function that draws."""


def new_figure(width: float, height: float, panels: int = 1) -> tuple[mpl.figure.Figure, Sequence[mpl.axes.Axes]]:
    """Return a figure of `width` x `height` inches with `panels` axes side by side."""
    figure = mpl.figure.Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, panels, squeeze=False)[0]


def save_figure(figure: mpl.figure.Figure, drawn: pd.DataFrame, caption: str, out: Path, name: str) -> None:
    """Write `name`.png, .svg, .csv (what is drawn) and .txt (the caption); bytes depend on the arguments only."""
    for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        with atomic_path(out / f"{name}.{suffix}") as path:
            figure.savefig(path, format=suffix, dpi=PIXELS_PER_INCH, metadata=metadata)
    with atomic_path(out / f"{name}.csv") as path:
        drawn.to_csv(path, index=False, lineterminator="\n")
    write_text(out / f"{name}.txt", caption + "\n")


def place(settings: Settings, figure: str) -> str:
    """Return the dataset and noise that a figure shows, e.g. ``UCI digits, Sym. 50%``."""
    column = settings["figures"][figure]["column"]
    return f"{dataset_title(settings, column['dataset'])}, {noise_name(column['noise'], column['rate'])}"


def count(n: int, noun: str) -> str:
    """Return "n = 3 seeds", "n = 1 seed"."""
    return f"n = {n} {noun}{'' if n == 1 else 's'}"


def figure_parser(module: str, doc: str | None, source: str) -> Parser:
    """Return the command line of a figure step: a profile, what it reads, where to write."""
    parser = Parser(module, description=doc)
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile files")
    parser.add_argument(f"--{source}", type=Path, required=True, help=f"the profile's folder of {source}")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    return parser
