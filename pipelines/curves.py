"""Draw the convergence curves: test accuracy after every epoch, a panel for every method and noise setting."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.figure
import numpy as np
import pandas as pd
import seaborn as sns

from emlc.judging.cells import noise_name
from emlc.records.artefacts import atomic_path
from emlc.records.store import Order
from pipelines.evidence.plots import count, styled
from pipelines.evidence.records import Shown, completed, shown
from pipelines.machine.work import work

AXES = ["dataset", "noise", "rate"]
"""What makes a column of the table, and so a panel."""


def curves(runs: Sequence[Shown]) -> pd.DataFrame:
    """Return the tidy curves: one line per completed run and epoch, test accuracy in %."""
    rows = [
        {**{name: getattr(run, name) for name in (*AXES, "method", "seed")}}
        | {"epoch": epoch["epoch"] + 1, "test_accuracy": epoch["test_accuracy"]}
        for run in completed(runs)
        for epoch in run.record["epochs"]
    ]
    return pd.DataFrame(rows, columns=[*AXES, "method", "seed", "epoch", "test_accuracy"])


def means(tidy: pd.DataFrame) -> pd.DataFrame:
    """Return the mean curve of every method (columns) over epochs (rows), for ``dvc plots``."""
    order = list(dict.fromkeys(tidy["method"]))
    accuracies = tidy.astype({"test_accuracy": float})  # without rows it has no type to take a mean of
    wide = accuracies.pivot_table(index="epoch", columns="method", values="test_accuracy", aggfunc="mean")
    return wide.reindex(columns=order).round(4)


@styled
def draw(tidy: pd.DataFrame) -> "mpl.figure.Figure":
    """Return the figure: a row per method and a column per noise setting; empty without runs.

    Every panel shows one method, mean and standard deviation over seeds, over the means of all others in light grey,
    and its accuracy after the last epoch. Nothing hangs on colour.
    """
    if tidy.empty:
        return _empty_figure()
    methods = list(dict.fromkeys(tidy["method"]))
    places = list(tidy[AXES].drop_duplicates().itertuples(index=False, name=None))
    figure, grid = _grid(len(methods), len(places))
    for column, place in enumerate(places):
        here = tidy[(tidy[AXES] == list(place)).all(axis="columns")]
        for axes, method in zip(grid[:, column], methods, strict=True):
            _panel(axes, here, method)
        grid[0, column].set_title(f"{place[0]}\n{noise_name(*place[1:])}")
    for axes, method in zip(grid[:, 0], methods, strict=True):
        axes.set_ylabel(method, rotation=0, ha="right", va="center")
    for axes in grid.flat:
        axes.set(ylim=(0, 100), yticks=(0, 50, 100))
        axes.xaxis.get_major_locator().set_params(integer=True, nbins=4)
        axes.label_outer()
    figure.supxlabel(f"Epoch; test accuracy (%), mean and standard deviation, {count(tidy['seed'].nunique(), 'seed')}")
    return figure


WIDTH, HEIGHT, TITLES, FOOT = 1.5, 0.72, 0.5, 0.6
"""Inches of a panel and of what stands above and below all; on a page 900 pixels wide, letters are 10 pixels high."""

OTHERS, OWN = "0.8", "#00467f"
"""Light grey, and a blue that is as dark on a grey printer."""


def _grid(rows: int, columns: int) -> "tuple[mpl.figure.Figure, np.ndarray]":
    """Return a figure and its panels; matplotlib's own layouts and shared axes take a minute for so many."""
    height = TITLES + HEIGHT * rows + FOOT
    figure = mpl.figure.Figure(figsize=(WIDTH * columns, height))
    margins = {"left": 0, "right": 1, "top": 1 - TITLES / height, "bottom": FOOT / height}
    spaces = {"wspace": 0.1, "hspace": 0.25}
    return figure, figure.subplots(rows, columns, squeeze=False, gridspec_kw=margins | spaces)


def _panel(axes: "mpl.axes.Axes", runs: pd.DataFrame, method: str) -> None:
    """Draw the curves of one column, one method's own over the others'."""
    lines = means(runs)
    axes.plot(lines.index, lines.drop(columns=method, errors="ignore"), color=OTHERS, lw=0.7)
    if method not in lines:  # all its runs failed
        return
    own = runs[runs["method"] == method]
    sns.lineplot(own, x="epoch", y="test_accuracy", errorbar="sd", color=OWN, lw=1.6, ax=axes)
    axes.set(xlabel="", ylabel="")
    last = lines[method].dropna().iloc[-1]
    place = {"xy": (0.97, 0.08), "va": "bottom"} if last > FREE else {"xy": (0.97, 0.95), "va": "top"}
    axes.annotate(f"{last:.1f}", xycoords="axes fraction", ha="right", color=OWN, fontsize=8, **place)


FREE = 45.0
"""Accuracy (%) above which there is room below a curve."""


def _empty_figure() -> "mpl.figure.Figure":
    figure = mpl.figure.Figure(figsize=(3.2, 2.8))
    figure.text(0.5, 0.5, "no completed run", ha="center", va="center")
    return figure


@styled
def save(tidy: pd.DataFrame, name: str, columns: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Write the figure (PNG, SVG), the tidy CSV and one CSV of means per column; bytes depend on the records only."""
    with atomic_path(out / f"convergence_{name}.csv") as path:
        tidy.to_csv(path, index=False, lineterminator="\n")
    for column in columns:
        chosen = tidy[(tidy[AXES] == pd.Series({axis: column[axis] for axis in AXES})).all(axis="columns")]
        place = f"{column['key']}_{column['noise']}-{column['rate']}.csv"
        with atomic_path(out / f"convergence_{name}" / place) as path:
            means(chosen).to_csv(path, lineterminator="\n")
    figure = draw(tidy)
    for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        with atomic_path(out / f"convergence_{name}.{suffix}") as path:
            figure.savefig(path, format=suffix, dpi=150, bbox_inches="tight", metadata=metadata)


def make(order: Order, folder: Path) -> None:
    """Make the convergence curves of a table."""
    mpl.use("agg")
    save(curves(shown(order)), order.identity["name"], order.identity["columns"], folder)


if __name__ == "__main__":
    work("pipelines.curves", __doc__, "curves", make)
