"""Tables of ablations: accuracy differences over the same seeds, and how long the teacher's gradients are."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from emlc.judging.statistics import paired_difference
from emlc.records.artefacts import write_text
from emlc.records.store import Order
from pipelines.evidence.probes import Probe, probed
from pipelines.evidence.records import Shown, completed, place_name, shown
from pipelines.machine.work import work

COLUMNS = [
    "question", "method", "label", "reference", "n", "mean", "std", "difference", "low", "high", "p", "accuracies",
]  # fmt: skip
PARTS = ("body", "gate")


class Row(NamedTuple):
    """A method of the ablations: what it is called, and its test accuracy (%) by seed, without those that failed."""

    label: str
    by_seed: Mapping[int, float]


def accuracies(runs: Sequence[Shown], selection: str) -> dict[str, Row]:
    """Return every method by its key, with the accuracies of the epochs that a rule selects."""
    found = {run.key: Row(run.method, {}) for run in runs}
    for run in completed(runs):
        found[run.key].by_seed[run.seed] = run.record["test_accuracy"][selection]
    return found


def tabulate(questions: Sequence[Mapping[str, Any]], found: Mapping[str, Row]) -> pd.DataFrame:
    """Return one row per question and method, the question's reference first, without a difference."""
    rows = []
    for question in questions:
        reference = question["reference"]
        for name in (reference, *question["variants"]):
            axes = {"question": question["question"], "method": name, "reference": reference}
            row = {**axes, "label": found[name].label, **_summary(found[name].by_seed)}
            compared = name != reference
            rows.append(row | (_difference(found[name].by_seed, found[reference].by_seed) if compared else {}))
    return pd.DataFrame(rows, columns=COLUMNS)


def _summary(by_seed: Mapping[int, float]) -> dict[str, Any]:
    values = list(by_seed.values())
    return {
        "n": len(values),
        "mean": round(statistics.fmean(values), 4) if values else None,
        "std": round(statistics.stdev(values), 4) if len(values) > 1 else None,
        "accuracies": " ".join(f"{seed}:{value:g}" for seed, value in by_seed.items()),
    }


def _difference(by_seed: Mapping[int, float], reference: Mapping[int, float]) -> dict[str, Any]:
    """Compare on the seeds that both completed."""
    shared = [seed for seed in by_seed if seed in reference]
    difference = paired_difference([by_seed[seed] for seed in shared], [reference[seed] for seed in shared])
    if difference is None:
        return {}
    values = {"difference": difference.mean, "low": difference.low, "high": difference.high, "p": difference.p}
    return {name: None if value is None else round(value, 4) for name, value in values.items()}


def gradients(found: Sequence[tuple[Mapping[str, Any], Probe]]) -> pd.DataFrame:
    """Return the teacher's gradient norms and their ratio (supervised / meta) by run, epoch and part."""
    rows = []
    for run, probe in found:
        for epoch in probe.epochs:
            for part in PARTS:
                supervised, meta = epoch[f"supervised_{part}"], epoch[f"meta_{part}"]
                norms = {"epoch": epoch["epoch"] + 1, "part": part, "supervised": supervised, "meta": meta}
                axes = {"label": run["method"], "seed": run["seed"]}
                rows.append(axes | norms | {"ratio": supervised / meta if meta else None})
    return pd.DataFrame(rows, columns=["label", "seed", "epoch", "part", "supervised", "meta", "ratio"])


HEAD = """\
# Ablations

Test accuracy (%) on {where}, profile `{profile}`, protocol `{protocol}`, epoch selection `{selection}`.

*Difference* is the mean of the differences to the first line's method on the same seeds (same split, noise and initial
weights) with its 95 % confidence interval (Student's t, n pairs). An interval without zero is printed bold: with
{count} comparisons, about {chance:.0f} would be by chance alone.
"""

GRADIENTS = """\
## How long are the teacher's two gradients?

Norm of the supervised gradient (L_CE + L_BCE of equation 12) over that of the meta-gradient, at the paper's scale, in
the teacher's body (features and classifier) and in its gate; each epoch's value is the median of {steps} steps from the
state after that epoch, then the median over n = {n} seeds, in brackets the range.
"""


def page(identity: Mapping[str, Any], table: pd.DataFrame, norms: pd.DataFrame) -> str:
    """Return all tables as Markdown; `identity` is that of the order."""
    facts = {key: identity[key] for key in ("profile", "protocol", "selection")}
    facts["where"] = place_name(identity["place"])
    comparisons = int((table["method"] != table["reference"]).sum())
    parts = [HEAD.format(**facts, count=comparisons, chance=0.05 * comparisons)]
    for question, rows in table.groupby("question", sort=False):
        shown = pd.DataFrame({"Method": rows["label"], "Accuracy": [_spread(row) for row in rows.itertuples()]})
        shown["Difference"] = [_interval(row) for row in rows.itertuples()]
        shown["p"] = rows["p"].map(lambda p: "" if pd.isna(p) else f"{p:.2g}")
        shown["n"] = rows["n"]
        parts.append(f"## {question}\n\n{shown.to_markdown(index=False, disable_numparse=True)}\n")
    if not norms.empty:
        parts.append(_gradient_page(norms))
    return "\n".join(parts)


def _spread(row: Any) -> str:
    if pd.isna(row.mean):
        return "failed"
    return f"{row.mean:.2f}" if pd.isna(row.std) else f"{row.mean:.2f} ± {row.std:.2f}"


def _interval(row: Any) -> str:
    if pd.isna(row.difference):
        return "" if row.method != row.reference else "reference"
    if pd.isna(row.low):
        return f"{row.difference:+.2f}"
    text = f"{row.difference:+.2f} [{row.low:+.2f}, {row.high:+.2f}]"
    return f"**{text}**" if row.low > 0 or row.high < 0 else text


def _gradient_page(norms: pd.DataFrame) -> str:
    from pipelines.evidence.observation import GRADIENT_STEPS

    groups = norms.groupby(["epoch", "label", "part"], sort=False)["ratio"]
    summary = groups.agg(["median", "min", "max"]).reset_index()
    summary["shown"] = [f"{r.median:.3g} [{r.min:.3g}, {r.max:.3g}]" for r in summary.itertuples()]
    summary["column"] = summary["label"] + ", " + summary["part"]
    wide = summary.pivot_table(index="epoch", columns="column", values="shown", aggfunc="first", sort=False)
    head = GRADIENTS.format(steps=GRADIENT_STEPS, n=norms["seed"].nunique())
    return f"{head}\n{wide.reset_index().to_markdown(index=False, disable_numparse=True)}\n"


def make(order: Order, folder: Path) -> None:
    """Make the ablations' tables and page."""
    found = accuracies(shown(order), order.identity["selection"])
    table = tabulate(order.identity["questions"], found)
    norms = gradients(probed(order))
    for name, frame in (("ablations", table), ("gradients", norms)):
        frame.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
    write_text(folder / "ablations.md", page(order.identity, table, norms))


if __name__ == "__main__":
    work("pipelines.ablations", __doc__, "ablations", make)
