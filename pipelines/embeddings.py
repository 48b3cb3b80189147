"""Draw figure 4: t-SNE of the students' features of the test images, with a number for how well classes part."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score

from emlc.records.store import Order
from emlc.tasks.seeds import derive_seed
from pipelines.evidence.plots import count, new_figure, save_figure, styled
from pipelines.evidence.probes import Probe, probed
from pipelines.evidence.records import place_name
from pipelines.machine.work import work

PERPLEXITY = 30
COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#000000",
    "#e69f00",
    "#56b4e9",
    "#7f3c8d",
    "#8c6d31",
    "#7f7f7f",
)
"""Okabe and Ito's, and three more: each class also has its number for a marker."""

COLUMNS = ["method", "seed", "x", "y", "class", "silhouette", "silhouette_tsne"]


def plane(features: np.ndarray, seed: int) -> np.ndarray:
    """Return the t-SNE of features [M, d]: [M, 2]; repeatable."""
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    state = derive_seed("t-SNE", seed) % 2**32
    return TSNE(perplexity=perplexity, init="pca", random_state=state).fit_transform(features.astype(np.float64))


def embedded(run: Mapping[str, Any], probe: Probe) -> pd.DataFrame:
    """Return one line per test image, with the silhouette score of the classes among the features and on the plane."""
    features, classes = probe.arrays["embeddings"], probe.arrays["test_labels"]
    points = plane(features, run["seed"])
    table = pd.DataFrame({"method": run["method"], "seed": run["seed"], "x": points[:, 0], "y": points[:, 1]})
    table["class"] = classes
    table["silhouette"] = round(float(silhouette_score(features.astype(np.float64), classes)), 4)
    table["silhouette_tsne"] = round(float(silhouette_score(points.astype(np.float64), classes)), 4)
    return table[COLUMNS].round({"x": 4, "y": 4})


def embeddings(order: Order) -> pd.DataFrame:
    """Return what the figure draws, of every probed run."""
    return pd.concat([embedded(run, probe) for run, probe in probed(order)], ignore_index=True)


def scores(drawn: pd.DataFrame) -> pd.DataFrame:
    """Return each method's silhouette scores by seed: one row per method and seed."""
    return drawn.drop_duplicates(["method", "seed"])[["method", "seed", "silhouette", "silhouette_tsne"]]


def caption(drawn: pd.DataFrame, place: Mapping[str, Any]) -> str:
    """Return the caption."""
    by_seed = scores(drawn)
    told = "; ".join(
        f"{method} {rows['silhouette'].mean():.2f} ({rows['silhouette_tsne'].mean():.2f})"
        for method, rows in by_seed.groupby("method", sort=False)
    )
    return (
        f"Figure 4 on {place_name(place)}: t-SNE (perplexity {PERPLEXITY}, PCA start, same seed) of the "
        f"students' features of the n = {len(drawn) // len(by_seed)} test images after the last epoch, for seed "
        f"{by_seed['seed'].iloc[0]}; digits and colours are true classes. Mean silhouette score of the classes among "
        f"the features (on the plane) over {count(by_seed['seed'].nunique(), 'seed')}: {told}; 1 is perfectly parted, "
        "0 overlapping. The paper shows Clothing1M."
    )


@styled
def draw(drawn: pd.DataFrame) -> Figure:
    """Return the first seed's figure."""
    methods = list(dict.fromkeys(drawn["method"]))
    figure, panels = new_figure(3.7 * len(methods), 3.9, panels=len(methods))
    for axes, method in zip(panels, methods, strict=True):
        rows = drawn[(drawn["method"] == method) & (drawn["seed"] == drawn["seed"].iloc[0])]
        for label in sorted(rows["class"].unique()):
            points = rows[rows["class"] == label]
            colour = COLOURS[label % len(COLOURS)]
            axes.scatter(points["x"], points["y"], color=colour, marker=f"${label}$", s=26, lw=0.2)
        axes.set(xticks=[], yticks=[], xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)")
        others = scores(drawn[drawn["method"] == method])["silhouette"]
        told = f"{others.min():.2f} to {others.max():.2f} over {count(len(others), 'seed')}"
        axes.set_title(f"{method}: silhouette {rows['silhouette'].iloc[0]:.2f}\n({told})")
    return figure


def make(order: Order, folder: Path) -> None:
    """Make figure 4."""
    drawn = embeddings(order)
    save_figure(draw(drawn), drawn, caption(drawn, order.identity["place"]), folder, "fig4")


if __name__ == "__main__":
    work("pipelines.embeddings", __doc__, "figures", make)
