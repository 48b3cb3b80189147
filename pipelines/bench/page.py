"""The benchmark's page."""

import math
from collections.abc import Mapping
from itertools import product
from statistics import median
from typing import Any

import pandas as pd


def markdown(table: pd.DataFrame, ratios: Mapping[str, list[float]], about: Mapping[str, Any]) -> str:
    """Return the page: the cases over a plain step, EMLC over MLC, and how both were measured.

    Parameters
    ----------
    table : DataFrame
        One row per case, of :func:`pipelines.bench.__main__.summary`.
    ratios : mapping of str to list of float
        Each case's time over a plain step, round by round.
    about : mapping
        The workload, the machine and the versions.
    """
    sections = [title("Training steps", about), _cases(table).to_markdown(index=False), _protocol(about)]
    over_mlc = _over_mlc(ratios)
    if not over_mlc.empty:
        sections[2:2] = [over_mlc.to_markdown(index=False)]
    return "\n\n".join(sections) + "\n"


def title(subject: str, about: Mapping[str, Any]) -> str:
    """Return a page's heading and the line that says where it was measured."""
    width = f" of width {about['width']}" if about["width"] else ""
    layout = "channels last" if about["channels_last"] else "channels first"
    return (
        f"# {subject}: {about['model']}{width}, batch {about['batch']}, {about['precision']}, {layout}\n\n"
        f"{about['machine']}, {about['threads']} CPU threads, Python {about['python']}, PyTorch {about['torch']}"
    )


def _cases(table: pd.DataFrame) -> pd.DataFrame:
    times = [f"{row.time:.2f} [{row.q25:.2f}, {row.q75:.2f}]" for row in table.itertuples()]
    arithmetic = table["flops"].map("{:.2f}".format)
    shown = {"step, per noisy batch": table["case"], "time / plain": times, "arithmetic / plain": arithmetic}
    if "peak_mib" in table:
        shown["peak memory (MiB)"] = table["peak_mib"].round().astype(int)
    if "error" in table:
        shown["error of the meta-gradient"] = table["error"].map(_scientific)
        shown["same, equal ReLU signs"] = table["error_same_signs"].map(_scientific)
    return pd.DataFrame(shown)


def _scientific(error: float) -> str:
    return "" if math.isnan(error) else f"{error:.1e}"


def _over_mlc(ratios: Mapping[str, list[float]]) -> pd.DataFrame:
    """Return the medians of EMLC's time over MLC's in the same round."""
    emlc = [name for name in ratios if name.startswith("EMLC")]
    mlc = [name for name in ratios if name.startswith("MLC")]
    cells = {(e, m): median(x / y for x, y in zip(ratios[e], ratios[m], strict=True)) for e, m in product(emlc, mlc)}
    rows = [{"time over": e, **{m: f"{cells[e, m]:.2f}" for m in mlc}} for e in emlc if mlc]
    return pd.DataFrame(rows)


def _protocol(about: Mapping[str, Any]) -> str:
    return f"""\
Medians [quartiles] of {about["rounds"]} rounds after {about["warm_up"]} to warm up. A round takes one step of every
case, each between two plain steps (Cross-Entropy: forward, backward, SGD), whose mean divides its time; the order
rotates. Batches are random images already on the device; augmentation and evaluation are not part of a step.
Arithmetic is counted by torch. Peak memory is that of a process (on a GPU: of torch's allocator) which does nothing
else, above its idle state. Errors are relative, in the norm of the teacher's gradient, to the same formula in float64
at the same weights: as it is, and with every ReLU open for the same samples (a pre-activation within rounding of zero
may open in one precision only). *Straightforward*: student copied, forward pass recomputed with dual numbers; for MLC
double backward.
*No clean half*: the student trains on noisy images alone.{_left_out(about)}"""


def _left_out(about: Mapping[str, Any]) -> str:
    names = about.get("left_out")
    return f"\nNot computable in {about['precision']} (dual numbers), left out: {', '.join(names)}." if names else ""
