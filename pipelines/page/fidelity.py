"""The page of meta-gradients against the exact one."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

HEAD = """\
# Meta-gradients against the exact one

Every meta-gradient of `emlc.metagrad` against `unrolled`, which differentiates the clean loss through the student's k
real optimiser steps: {label} on {where}, {model} student from {start}, batches of {batch}, learning rate {lr}, weight
decay {decay}, after {steps} of its own steps, everything in float64. n = {n} windows, {between} steps of the method
apart; medians, in brackets the quartiles.

- *cosine*, *relative error*, *norm ratio*: of the gradient that the teacher gets.
- *label cosine*: of the derivatives by each soft label, the mean over classes taken off. It tells whether each sample
  gets its own signal.
- *times fpmg*, *ms*: the call alone, {threads} thread(s), the fastest of {repeats}, on passes that the student's own
  steps have recorded; the ratio is taken within a window. *MiB*: peak of tensors above what is alive before the call.
"""


def as_markdown(table: pd.DataFrame, facts: Mapping[str, Any]) -> str:
    """Return the panel, a table per momentum and look-ahead; `facts` are what :data:`HEAD` names."""
    parts = [HEAD.format(**facts)]
    for (momentum, k), rows in table.groupby(["momentum", "k"], sort=False):
        names = {"cosine": ".4f", "label_cosine": ".3f", "relative_error": ".2g", "norm_ratio": ".3f"}
        names |= {"times_fpmg": ".2f", "ms": ".2f"}
        shown = pd.DataFrame({"meta-gradient": rows["meta_gradient"].map("`{}`".format)})
        for name, form in names.items():
            triples = zip(*(rows[column] for column in (name, f"{name}_q1", f"{name}_q3")), strict=True)
            title = name.replace("_", " ")
            shown[title] = [f"{middle:{form}} [{low:{form}}, {high:{form}}]" for middle, low, high in triples]
        shown["MiB"] = rows["peak_mib"].map("{:.2f}".format)
        parts.append(f"## k = {k}, momentum {momentum:g}\n\n{shown.to_markdown(index=False, disable_numparse=True)}\n")
    return "\n".join(parts)
