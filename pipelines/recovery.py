"""Draw figure 1: how many noisy labels the teacher recovers, of all and of the wrong ones, by epoch."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pipelines.evidence.plots import STYLES, count, figure_parser, new_figure, place, save_figure, styled
from pipelines.evidence.runs import figure_runs
from pipelines.machine.cli import run
from pipelines.probe import probes
from pipelines.profile.load import load_settings
from pipelines.profile.settings import Settings, method_settings

MEASURES = {"recovery": "All noisy labels", "wrong_recovery": "Wrong noisy labels"}
LINES = {"recovery": "-", "wrong_recovery": (0, (4, 2))}
"""As in the paper: solid for all, dashed for the wrong ones."""

COLUMNS = ["method", "seed", "epoch", *MEASURES, "given_right"]


def recoveries(settings: Settings, folder: Path) -> pd.DataFrame:
    """Return both shares (%) of every probed run and epoch, and how many given labels are right to begin with."""
    rows = []
    for which, probe in probes(settings, figure_runs(settings, "fig1"), folder).items():
        right = 100 * float((probe.arrays["noisy_labels"] == probe.arrays["true_labels"]).mean())
        axes = {"method": method_settings(settings, which.method)["label"], "seed": which.seed}
        shares = [{name: row[name] for name in MEASURES} for row in probe.epochs]
        rows += [axes | {"epoch": i + 1, **share, "given_right": round(right, 6)} for i, share in enumerate(shares)]
    return pd.DataFrame(rows, columns=COLUMNS)


def caption(tidy: pd.DataFrame, settings: Settings) -> str:
    """Return the caption."""
    return (
        f"Figure 1 on {place(settings, 'fig1')}: share of the noisy samples whose corrected label is right, its most "
        "probable class being the true one. Left (solid): of all noisy samples; the grey line is the share of given "
        "labels that are right. Right (dashed): of the samples whose given label is wrong. After every epoch, on "
        "images without augmentation, networks in evaluation mode; mean and range over "
        f"{count(tidy['seed'].nunique(), 'seed')}. In the paper EMLC starts from SimCLR, and MLC both without and with."
    )


@styled
def draw(tidy: pd.DataFrame, out: Path, settings: Settings) -> None:
    """Draw the figure and write its files to `out`."""
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
    save_figure(figure, tidy, caption(tidy, settings), out, "fig1")


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    args = figure_parser("pipelines.recovery", __doc__, "probes").parse_args(argv)
    settings = load_settings(args.config)
    draw(recoveries(settings, args.probes), args.out, settings)
    return 0


if __name__ == "__main__":
    run(main)
