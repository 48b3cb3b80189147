"""The page of computation times, beside what the paper says of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

PUBLISHED_BASE = "MLC (double backward)"

PROTOCOL = """\
## Protocol

- An iteration is one update of the student on one noisy batch, through the engine: the batch is drawn and augmented,
  the method's `step` does all the rest. A step of EMLC with k = 5 is five iterations. Evaluation is not in it.
- Same student, same batch (noisy and clean alike), same random images, {threads} CPU thread(s), device {device}.
- All methods take turns, in rotating order; iterations of each in one round: {updates}. Two rounds of warm-up before
  do not count; the device is waited for before every reading of the clock. n is the number of rounds.
- Shown are the median and, in brackets, the quartiles. Ratios are taken within a round and then summarised. An epoch is
  the median iteration times the full batches of an epoch, which was not run; noisy images of an epoch: {epochs}.
- Peak memory is that of tensors during such a round above what is alive before them (weights, optimiser
  states), from the {source}; what libraries allocate past PyTorch is unmeasured.
- `MLC` gets its meta-gradient from forward products, as EMLC does here. `MLC (double backward)` takes the very same
  steps but computes them as the public code (microsoft/MLC) does, clean gradient before each step included.
"""


def as_markdown(table: pd.DataFrame, facts: Mapping[str, Any], against: Sequence[str], published: pd.DataFrame) -> str:
    """Return the page.

    Parameters
    ----------
    table : DataFrame
        One row per net and method, of :func:`pipelines.timing.summarise`.
    facts : mapping
        What :data:`PROTOCOL` names.
    against : sequence of str
        Methods that the others' speed is compared with.
    published : DataFrame
        ``method`` and ``hours_per_epoch`` of Clothing1M (section 4.3).
    """
    parts = ["# Computation time (section 4.3)\n"]
    for net, rows in table.groupby("net", sort=False):
        shown = pd.DataFrame({"Method": rows["method"], "ms per iteration": _bracketed(rows, "iteration_ms", 2)})
        shown["s per epoch"] = rows["epoch_s"].map("{:.3g}".format)
        for other in against:
            shown[f"times faster than {other}"] = _bracketed(rows, f"times faster than {other}", 2)
        shown["peak memory (MiB)"] = rows["peak_mib"].map("{:.1f}".format)
        shown["n"] = rows["n"]
        parts.append(f"## {net}, batch {rows['batch'].iloc[0]}\n\n{shown.to_markdown(index=False)}\n")
    parts.append(_papers(published.set_index("method")["hours_per_epoch"]))
    return "\n".join([*parts, PROTOCOL.format(**facts)])


def _papers(published: pd.Series) -> str:
    """Return the paper's hours and their ratios in words."""
    hours = "; ".join(f"{name} {value} h" for name, value in published.items())
    ratios = published[PUBLISHED_BASE] / published.drop(PUBLISHED_BASE)
    told = " and ".join(f"{value:.2f} times for {name}" for name, value in ratios.items())
    return (
        f"The paper reports, for one epoch of Clothing1M on an A6000: {hours}. As a ratio, MLC takes {told}. Its hours "
        "depend on its machine, data and batches and are compared with nothing here.\n"
    )


def _bracketed(rows: pd.DataFrame, name: str, digits: int) -> list[str]:
    values = zip(rows[name], rows[f"{name} (q1)"], rows[f"{name} (q3)"], strict=True)
    return [f"{middle:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]" for middle, low, high in values]
