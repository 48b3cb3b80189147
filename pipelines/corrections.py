"""Draw figure 3, right: what the teacher says of a clean and of a corrupted sample, and what its gate retains."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emlc.records.errors import SuiteError
from emlc.records.store import Order
from pipelines.evidence.plots import STYLES, new_figure, not_known, save_figure, styled
from pipelines.evidence.probes import probed
from pipelines.evidence.records import place_name
from pipelines.machine.work import work

BINS = 20
GROUPS = ("clean", "corrupted")
COLUMNS = ["panel", "group", "x", "value", "n", "note"]


def typical(arrays: Mapping[str, np.ndarray], members: np.ndarray) -> int:
    """Return the member whose corrected label gives the true class the group's median probability (the lower one)."""
    of_true = arrays["soft_labels"][members, arrays["true_labels"][members]]
    return int(members[np.argsort(of_true, kind="stable")[(len(members) - 1) // 2]])


def groups(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the noisy samples whose given label is right, and those whose is wrong."""
    right = arrays["noisy_labels"] == arrays["true_labels"]
    return dict(zip(GROUPS, (np.flatnonzero(right), np.flatnonzero(~right)), strict=True))


def tidy(arrays: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return what the figure draws: nothing where nobody knows the true labels.

    Panel ``sample``: the corrected label of each group's typical sample, by class (x); the note marks its given and its
    true class. Panel ``mean``: the mean probability of the true and of the given class over the group. Panel
    ``retain``: the share (%) of the group whose retain weight lies in the bin that begins at x.
    """
    rows = []
    for group, members in groups(arrays).items() if len(arrays["true_labels"]) else ():
        rows += [[*row, len(members)] for row in _of_sample(arrays, group, typical(arrays, members))]
        for note in ("true", "given"):
            labels = arrays["true_labels" if note == "true" else "noisy_labels"][members]
            mean = float(arrays["soft_labels"][members, labels].mean())
            rows.append(["mean", group, note, mean, note, len(members)])
        shares, edges = np.histogram(arrays["retained"][members], bins=BINS, range=(0, 1))
        rows += [
            ["retain", group, round(edge, 6), 100 * share / len(members), "", len(members)]
            for edge, share in zip(edges[:-1], shares, strict=True)
        ]
    return pd.DataFrame(rows, columns=["panel", "group", "x", "value", "note", "n"])[COLUMNS]


def _of_sample(arrays: Mapping[str, np.ndarray], group: str, sample: int) -> list[list[object]]:
    marks = {int(arrays["noisy_labels"][sample]): "given"}
    true = int(arrays["true_labels"][sample])
    marks[true] = "given, true" if true in marks else "true"
    values = enumerate(arrays["soft_labels"][sample])
    return [["sample", group, label, float(value), marks.get(label, "")] for label, value in values]


def caption(drawn: pd.DataFrame, place: Mapping[str, Any], label: str) -> str:
    """Return the caption."""
    if drawn.empty:
        return f"Figure 3 (right) on {place_name(place)}: not known, as nobody knows which given labels are right."
    clean, corrupted = (int(drawn.loc[drawn["group"] == group, "n"].iloc[0]) for group in GROUPS)
    mean = drawn[drawn["panel"] == "mean"].set_index(["group", "note"])["value"]
    return (
        f"Figure 3 (right) on {place_name(place)}: {label}, one seed, after the last epoch. Left and middle: the "
        "corrected label of the typical sample of each group, that with the group's median probability of its true "
        f"class. Right: retain weights, n = {clean} samples with a right label, n = {corrupted} with a wrong one. On "
        f"average the corrected label gives the true class {mean['clean', 'true']:.2f} where the label is right; where "
        f"it is wrong, the true class {mean['corrupted', 'true']:.2f} and the given one "
        f"{mean['corrupted', 'given']:.2f}."
    )


@styled
def draw(drawn: pd.DataFrame) -> Figure:
    """Return the figure."""
    if drawn.empty:
        return not_known()
    figure, panels = new_figure(7.8, 2.9, panels=3)
    for axes, group, style in zip(panels, GROUPS, STYLES, strict=False):
        rows = drawn[(drawn["panel"] == "sample") & (drawn["group"] == group)]
        _bars(axes, rows, style.colour)
        axes.set(title=f"Typical {group} sample", xlabel="Class", ylim=(0, 1.12))
    panels[0].set_ylabel("Probability of the corrected label")
    panels[1].sharey(panels[0])
    for group, style, hatch in zip(GROUPS, STYLES, ("", "///"), strict=False):
        rows = drawn[(drawn["panel"] == "retain") & (drawn["group"] == group)]
        look = {"facecolor": style.colour, "alpha": 0.45, "edgecolor": style.colour, "hatch": hatch, "lw": 0.8}
        name = f"{group}, n = {rows['n'].iloc[0]}"
        panels[2].bar(rows["x"].astype(float), rows["value"], width=1 / BINS, align="edge", label=name, **look)
    panels[2].set(title="The gate", xlabel="Retain weight of the given label", ylabel="Samples (%)", xlim=(0, 1))
    panels[2].legend(loc="upper right")
    return figure


def _bars(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    """Bars by class; the marks stand above, or they would be lost on a bar of no height."""
    rows = rows.astype({"x": int})  # of object type beside the words of other panels
    axes.bar(rows["x"], rows["value"], color=colour, width=0.8)
    axes.set_xticks(rows["x"])
    for label, value, note in zip(rows["x"], rows["value"], rows["note"], strict=True):
        lines = note.replace(", ", "\n")
        axes.annotate(lines, (label, value), (0, 2), textcoords="offset points", ha="center", va="bottom", fontsize=8)


def make(order: Order, folder: Path) -> None:
    """Make figure 3.

    Raises
    ------
    SuiteError
        If the method's teacher has no gate.
    """
    run, probe = probed(order)[0]
    if not len(probe.arrays["retained"]):
        raise SuiteError(f"figure 3 shows a teacher's gate and {run['method']} has none; name an EMLC in the profile")
    drawn = tidy(probe.arrays)
    save_figure(draw(drawn), drawn, caption(drawn, order.identity["place"], run["method"]), folder, "fig3")


if __name__ == "__main__":
    work("pipelines.corrections", __doc__, "figures", make)
