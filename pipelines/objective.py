"""Draw figure 5: the meta-objective (the student's clean loss after the look-ahead) by training iteration."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipelines.evidence.plots import STYLES, count, figure_parser, new_figure, place, save_figure, styled
from pipelines.evidence.runs import completed, figure_runs
from pipelines.machine.cli import run
from pipelines.profile.load import load_settings
from pipelines.profile.settings import Settings, method_settings, run_spec

COLUMNS = ["method", "seed", "epoch", "iteration", "meta_objective"]
SHOWN_BY_THE_PAPER = 2
"""Epochs."""

MARKS = 12
"""Markers on each line."""


def objectives(settings: Settings, folder: Path) -> pd.DataFrame:
    """Return the meta-objective of every step of the figure's epochs, from the runs' ``steps.csv``.

    An iteration is one student update, so a step of EMLC counts `look_ahead` of them.
    """
    epochs = settings["figures"]["fig5"]["epochs"]
    tables = []
    for which in completed(settings, figure_runs(settings, "fig5"), folder):
        steps = pd.read_csv(folder / which.folder / "steps.csv")
        label = method_settings(settings, which.method)["label"]
        look_ahead = run_spec(settings, which)["options"].get("look_ahead", 1)
        steps = steps[steps["epoch"] < epochs].assign(method=label, seed=which.seed)
        tables.append(steps.assign(iteration=(steps["step"] + 1) * look_ahead)[COLUMNS])
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def bands(tidy: pd.DataFrame) -> pd.DataFrame:
    """Return the mean, least and greatest value over seeds of every method and iteration."""
    grouped = tidy.groupby(["method", "iteration"], sort=False)["meta_objective"]
    return grouped.agg(mean="mean", least="min", greatest="max", n="count").reset_index()


def caption(tidy: pd.DataFrame, settings: Settings) -> str:
    """Return the caption."""
    figure = settings["figures"]["fig5"]
    return (
        f"Figure 5 on {place(settings, 'fig5')}: the "
        f"meta-objective, Cross-Entropy of the student after the look-ahead on the clean batch, in the first "
        f"{figure['epochs']} epochs; mean and range over {count(tidy['seed'].nunique(), 'seed')}; an iteration is one "
        f"update of the student. The paper shows {SHOWN_BY_THE_PAPER} epochs (dotted line) of Clothing1M. MLC "
        "evaluates it on half of each clean batch and trains the student on the other half; EMLC's student never "
        "trains on clean images."
    )


@styled
def draw(tidy: pd.DataFrame, path: Path, settings: Settings) -> None:
    """Draw the figure and write its files to `path`."""
    figure, (axes,) = new_figure(6.0, 3.4)
    summary = bands(tidy)
    for style, method in zip(STYLES, dict.fromkeys(tidy["method"]), strict=False):
        rows = summary[summary["method"] == method]
        axes.fill_between(rows["iteration"], rows["least"], rows["greatest"], color=style.colour, alpha=0.25, lw=0)
        marks = {"marker": style.marker, "markevery": max(1, len(rows) // MARKS), "ms": 4.5, "mec": "white", "mew": 0.6}
        axes.plot(rows["iteration"], rows["mean"], color=style.colour, ls=style.line, lw=1.3, label=method, **marks)
    if not tidy.empty:
        per_epoch = tidy["iteration"].max() / settings["figures"]["fig5"]["epochs"]
        axes.axvline(SHOWN_BY_THE_PAPER * per_epoch, color="0.4", ls=":", lw=1)
    axes.set(xlabel="Iteration (student updates)", ylabel="Meta-objective (nats)", ylim=(0, None))
    axes.margins(x=0.01)
    axes.legend(title=f"mean and range, {count(tidy['seed'].nunique(), 'seed')}")
    save_figure(figure, tidy, caption(tidy, settings), path, "fig5")


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    args = figure_parser("pipelines.objective", __doc__, "runs").parse_args(argv)
    settings = load_settings(args.config)
    draw(objectives(settings, args.runs), args.out, settings)
    return 0


if __name__ == "__main__":
    run(main)
