"""Draw figure 5: the meta-objective (the student's clean loss after the look-ahead) by training iteration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from emlc.records.store import Order
from pipelines.evidence.plots import STYLES, count, new_figure, save_figure, styled
from pipelines.evidence.records import Shown, completed, place_name, shown
from pipelines.machine.work import work

COLUMNS = ["method", "seed", "epoch", "iteration", "meta_objective"]
SHOWN_BY_THE_PAPER = 2
"""Epochs."""

MARKS = 12
"""Markers on each line."""


def objectives(runs: Sequence[Shown], epochs: int) -> pd.DataFrame:
    """Return the meta-objective of every step of the first epochs of the runs that completed (``steps.csv``).

    An iteration is one student update, so a step of EMLC counts `look_ahead` of them.
    """
    tables = [_objective(run, epochs) for run in completed(runs)]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def _objective(run: Shown, epochs: int) -> pd.DataFrame:
    steps = pd.read_csv(run.folder / "steps.csv")
    look_ahead = run.record["config"]["options"].get("look_ahead", 1)
    steps = steps[steps["epoch"] < epochs].assign(method=run.method, seed=run.seed)
    return steps.assign(iteration=(steps["step"] + 1) * look_ahead)[COLUMNS]


def bands(tidy: pd.DataFrame) -> pd.DataFrame:
    """Return the mean, least and greatest value over seeds of every method and iteration."""
    grouped = tidy.groupby(["method", "iteration"], sort=False)["meta_objective"]
    return grouped.agg(mean="mean", least="min", greatest="max", n="count").reset_index()


def caption(tidy: pd.DataFrame, place: Mapping[str, Any], epochs: int) -> str:
    """Return the caption."""
    return (
        f"Figure 5 on {place_name(place)}: the meta-objective, Cross-Entropy of the student after the look-ahead on "
        f"the clean batch, in the first {epochs} epochs; mean and range over "
        f"{count(tidy['seed'].nunique(), 'seed')}; an iteration is one "
        f"update of the student. The paper shows {SHOWN_BY_THE_PAPER} epochs (dotted line) of Clothing1M. MLC "
        "evaluates it on half of each clean batch and trains the student on the other half; EMLC's student never "
        "trains on clean images."
    )


@styled
def draw(tidy: pd.DataFrame, epochs: int) -> Figure:
    """Return the figure."""
    figure, (axes,) = new_figure(6.0, 3.4)
    summary = bands(tidy)
    for style, method in zip(STYLES, dict.fromkeys(tidy["method"]), strict=False):
        rows = summary[summary["method"] == method]
        axes.fill_between(rows["iteration"], rows["least"], rows["greatest"], color=style.colour, alpha=0.25, lw=0)
        marks = {"marker": style.marker, "markevery": max(1, len(rows) // MARKS), "ms": 4.5, "mec": "white", "mew": 0.6}
        axes.plot(rows["iteration"], rows["mean"], color=style.colour, ls=style.line, lw=1.3, label=method, **marks)
    if not tidy.empty:
        per_epoch = tidy["iteration"].max() / epochs
        axes.axvline(SHOWN_BY_THE_PAPER * per_epoch, color="0.4", ls=":", lw=1)
    axes.set(xlabel="Iteration (student updates)", ylabel="Meta-objective (nats)", ylim=(0, None))
    axes.margins(x=0.01)
    axes.legend(title=f"mean and range, {count(tidy['seed'].nunique(), 'seed')}")
    return figure


def make(order: Order, folder: Path) -> None:
    """Make figure 5."""
    epochs, place = order.identity["epochs"], order.identity["place"]
    tidy = objectives(shown(order), epochs)
    save_figure(draw(tidy, epochs), tidy, caption(tidy, place, epochs), folder, "fig5")


if __name__ == "__main__":
    work("pipelines.objective", __doc__, "figures", make)
