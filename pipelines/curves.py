"""Draw the convergence curves: test accuracy after every epoch, mean and spread over seeds, one panel per column."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.figure
import pandas as pd
import seaborn as sns

from emlc.judging.cells import noise_name
from emlc.records.artefacts import atomic_path
from emlc.records.record import COMPLETED
from pipelines.aggregate import collect
from pipelines.machine.cli import Parser, run
from pipelines.profile.load import load_settings
from pipelines.profile.settings import DEFAULT_PROFILE, Settings, dataset_title

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
AXES = ["dataset", "noise", "rate"]
"""What makes a column of the table, and so a panel."""


def curves(settings: Settings, folder: Path) -> pd.DataFrame:
    """Return the tidy curves: one line per run and epoch of every completed record, test accuracy in %."""
    rows = [
        {**item["run"]._asdict(), "method": item["label"], "dataset": item["title"]}
        | {"epoch": epoch["epoch"] + 1, "test_accuracy": epoch["test_accuracy"]}
        for item in collect(settings, folder)
        if item["status"] == COMPLETED
        for epoch in item["record"]["epochs"]
    ]
    return pd.DataFrame(rows, columns=[*AXES, "method", "seed", "epoch", "test_accuracy"])


def means(tidy: pd.DataFrame) -> pd.DataFrame:
    """Return the mean curve of every method (columns) over epochs (rows), for ``dvc plots``."""
    order = list(dict.fromkeys(tidy["method"]))
    accuracies = tidy.astype({"test_accuracy": float})  # without rows it has no type to take a mean of
    wide = accuracies.pivot_table(index="epoch", columns="method", values="test_accuracy", aggfunc="mean")
    return wide.reindex(columns=order).round(4)


def draw(tidy: pd.DataFrame, settings: Settings) -> "mpl.figure.Figure":
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
    grid.legend.set_title(f"mean ± std, n = {len(settings['seeds'])} seeds")
    sns.move_legend(grid, "center left", bbox_to_anchor=(grid.figure.subplotpars.right + 0.01, 0.5))
    return grid.figure


def _empty_figure() -> "mpl.figure.Figure":
    figure = mpl.figure.Figure(figsize=(3.2, 2.8))
    figure.text(0.5, 0.5, "no completed run", ha="center", va="center")
    return figure


def save(tidy: pd.DataFrame, settings: Settings, out: Path) -> None:
    """Write the figure (PNG, SVG), the tidy CSV and one CSV of means per column; bytes depend on the records only."""
    with atomic_path(out / "convergence.csv") as path:
        tidy.to_csv(path, index=False, lineterminator="\n")
    for column in settings["columns"]:
        axes = {**column, "dataset": dataset_title(settings, column["dataset"])}
        chosen = tidy[(tidy[AXES] == pd.Series({name: axes[name] for name in AXES})).all(axis="columns")]
        name = f"{column['dataset']}_{column['noise']}-{column['rate']}.csv"
        with atomic_path(out / "convergence" / name) as path:
            means(chosen).to_csv(path, lineterminator="\n")
    mpl.rcParams["svg.hashsalt"] = "emlc"
    figure = draw(tidy, settings)
    for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        with atomic_path(out / f"convergence.{suffix}") as path:
            figure.savefig(path, format=suffix, dpi=150, bbox_inches="tight", metadata=metadata)


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    parser = Parser("pipelines.curves", description=__doc__)
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile files")
    parser.add_argument("--runs", type=Path, required=True, help="the profile's folder of run records")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    args = parser.parse_args(argv)
    mpl.use("agg")
    settings = load_settings(args.config)
    save(curves(settings, args.runs), settings, args.out)
    return 0


if __name__ == "__main__":
    run(main)
