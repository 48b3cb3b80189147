"""Draw the convergence curves: test accuracy after every epoch, mean and spread over seeds, one panel per column."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.figure
import pandas as pd
import seaborn as sns

from emlc.judging.cells import noise_name
from emlc.records.artefacts import atomic_path
from emlc.records.store import Order
from pipelines.evidence.records import Shown, completed, shown
from pipelines.machine.work import work

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
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


def draw(tidy: pd.DataFrame) -> "mpl.figure.Figure":
    """Return the figure: one panel per noise setting, band = standard deviation over seeds; empty without runs."""
    sns.set_theme(style="ticks", context="paper", font_scale=1.1)
    if tidy.empty:
        return _empty_figure()
    places = zip(tidy["dataset"], tidy["noise"], tidy["rate"], strict=True)
    tidy = tidy.assign(panel=[f"{dataset}, {noise_name(noise, rate)}" for dataset, noise, rate in places])
    methods = list(dict.fromkeys(tidy["method"]))
    grid = sns.relplot(
        tidy,
        x="epoch",
        y="test_accuracy",
        hue="method",
        style="method",
        hue_order=methods,
        style_order=methods,
        col="panel",
        col_wrap=3,
        kind="line",
        errorbar="sd",
        palette=sns.color_palette("colorblind", len(methods)),
        markers=list(MARKERS[: len(methods)]),
        markevery=3,
        dashes=False,
        height=2.8,
        aspect=1.15,
    )
    grid.set_titles("{col_name}").set_axis_labels("Epoch", "Test accuracy (%)")
    grid.legend.set_title(f"mean ± std, n = {tidy['seed'].nunique()} seeds")
    sns.move_legend(grid, "center left", bbox_to_anchor=(grid.figure.subplotpars.right + 0.01, 0.5))
    return grid.figure


def _empty_figure() -> "mpl.figure.Figure":
    figure = mpl.figure.Figure(figsize=(3.2, 2.8))
    figure.text(0.5, 0.5, "no completed run", ha="center", va="center")
    return figure


def save(tidy: pd.DataFrame, name: str, columns: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Write the figure (PNG, SVG), the tidy CSV and one CSV of means per column; bytes depend on the records only."""
    with atomic_path(out / f"convergence_{name}.csv") as path:
        tidy.to_csv(path, index=False, lineterminator="\n")
    for column in columns:
        chosen = tidy[(tidy[AXES] == pd.Series({axis: column[axis] for axis in AXES})).all(axis="columns")]
        place = f"{column['key']}_{column['noise']}-{column['rate']}.csv"
        with atomic_path(out / f"convergence_{name}" / place) as path:
            means(chosen).to_csv(path, lineterminator="\n")
    mpl.rcParams["svg.hashsalt"] = "emlc"
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
