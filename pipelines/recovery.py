"""Draw figure 1: how many noisy labels the teacher recovers, of all and of the wrong ones, by epoch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from emlc.records.store import Order
from pipelines.evidence.plots import STYLES, count, new_figure, not_known, save_figure, styled
from pipelines.evidence.probes import probed
from pipelines.evidence.records import place_name
from pipelines.machine.work import work

MEASURES = {"recovery": "All noisy labels", "wrong_recovery": "Wrong noisy labels"}
LINES = {"recovery": "-", "wrong_recovery": (0, (4, 2))}
"""As in the paper: solid for all, dashed for the wrong ones."""

COLUMNS = ["method", "seed", "epoch", *MEASURES, "given_right"]


def recoveries(order: Order) -> pd.DataFrame:
    """Return both shares (%) of every probed run and epoch, and how many given labels are right to begin with."""
    rows = []
    for run, probe in probed(order):
        right = given_right(probe.arrays)
        axes = {"method": run["method"], "seed": run["seed"]}
        shares = [{name: row[name] for name in MEASURES} for row in probe.epochs]
        rows += [axes | {"epoch": i + 1, **share, "given_right": right} for i, share in enumerate(shares)]
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys((*MEASURES, "given_right"), float))


def given_right(arrays: Mapping[str, np.ndarray]) -> float:
    """Return how many given labels (%) are right; NaN where nobody knows the true ones."""
    if not len(arrays["true_labels"]):
        return float("nan")
    return round(100 * float((arrays["noisy_labels"] == arrays["true_labels"]).mean()), 6)


def caption(tidy: pd.DataFrame, place: Mapping[str, Any]) -> str:
    """Return the caption."""
    if tidy["given_right"].isna().all():
        return f"Figure 1 on {place_name(place)}: not known, as nobody knows the true labels of the noisy samples."
    return (
        f"Figure 1 on {place_name(place)}: share of the noisy samples whose corrected label is right, its most "
        "probable class being the true one. Left (solid): of all noisy samples; the grey line is the share of given "
        "labels that are right. Right (dashed): of the samples whose given label is wrong. After every epoch, on "
        "images without augmentation, networks in evaluation mode; mean and range over "
        f"{count(tidy['seed'].nunique(), 'seed')}. In the paper EMLC starts from SimCLR, and MLC both without and with."
    )


@styled
def draw(tidy: pd.DataFrame) -> Figure:
    """Return the figure."""
    if tidy["given_right"].isna().all():
        return not_known()
    figure, panels = new_figure(7.2, 3.3, panels=2)
    methods = list(dict.fromkeys(tidy["method"]))
    for axes, (measure, title) in zip(panels, MEASURES.items(), strict=True):
        for style, method in zip(STYLES, methods, strict=False):
            by_epoch = tidy[tidy["method"] == method].groupby("epoch")[measure]
            mean = by_epoch.mean()
            axes.fill_between(mean.index, by_epoch.min(), by_epoch.max(), color=style.colour, alpha=0.2, lw=0)
            look = {"color": style.colour, "ls": LINES[measure], "marker": style.marker, "ms": 4, "markevery": 2}
            axes.plot(mean.index, mean, lw=1.4, label=method, **look)
        axes.set(title=title, xlabel="Epoch", ylabel="Recovered (%)", ylim=(0, 100))
        axes.xaxis.get_major_locator().set_params(integer=True)
    right = tidy["given_right"].mean()
    panels[0].axhline(right, color="0.5", lw=1, zorder=0)
    panels[0].annotate(
        "given labels that are right", (tidy["epoch"].max(), right - 2), ha="right", va="top", color="0.4"
    )
    handles, labels = panels[0].get_legend_handles_labels()
    title = f"mean and range, {count(tidy['seed'].nunique(), 'seed')}"
    figure.legend(handles, labels, loc="outside lower center", ncols=4, title=title)
    return figure


def make(order: Order, folder: Path) -> None:
    """Make figure 1."""
    tidy = recoveries(order)
    save_figure(draw(tidy), tidy, caption(tidy, order.identity["place"]), folder, "fig1")


if __name__ == "__main__":
    work("pipelines.recovery", __doc__, "figures", make)
