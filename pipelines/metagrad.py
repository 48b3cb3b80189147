"""How faithful each meta-gradient is: against the exact unrolled one in float64, on a student trained for a while."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from emlc.records.artefacts import write_text
from emlc.records.store import Order
from pipelines.evidence.records import place_name
from pipelines.machine.devices import use_reproducible_kernels
from pipelines.machine.work import work
from pipelines.page.fidelity import as_markdown
from pipelines.profile.model import SIMCLR

MEASURES = ("cosine", "label_cosine", "relative_error", "norm_ratio", "times_fpmg", "ms")


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Return medians and quartiles over draws, one row per momentum, look-ahead and meta-gradient."""
    groups = rows.groupby(["momentum", "k", "meta_gradient"], sort=False)
    table = groups.agg(n=("draw", "count"), peak_mib=("peak_mib", "first"))
    for name in MEASURES:
        table[name] = groups[name].median()
        for suffix, share in (("q1", 0.25), ("q3", 0.75)):
            table[f"{name}_{suffix}"] = groups[name].quantile(share)
    return table.reset_index()


def make(order: Order, folder: Path) -> None:
    """Make the panel and its page."""
    use_reproducible_kernels()
    from pipelines.evidence.fidelity import panel

    identity = order.identity
    run = Order("runs", identity["run"], order.about, order.results)
    table = summarise(panel(run, identity["steps"], identity["draws"]))
    table.round(9).to_csv(folder / "metagrad.csv", index=False, lineterminator="\n")
    write_text(folder / "metagrad.md", as_markdown(table, _facts(identity)))


def _facts(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page says of how it was measured."""
    from pipelines.evidence.fidelity import REPEATS, STEPS_BETWEEN_DRAWS

    run, training = identity["run"], identity["run"]["training"]
    return {
        "label": identity["label"],
        "where": place_name(identity["place"]),
        "model": run["model"]["name"],
        "start": "a SimCLR encoder" if run["initialisation"] == SIMCLR else "scratch",
        "batch": training["batch_size"],
        "lr": training["lr"],
        "decay": training["weight_decay"],
        "steps": identity["steps"],
        "n": identity["draws"],
        "between": STEPS_BETWEEN_DRAWS,
        "repeats": REPEATS,
        "threads": run["threads"],
    }


if __name__ == "__main__":
    work("pipelines.metagrad", __doc__, "fidelity", make)
