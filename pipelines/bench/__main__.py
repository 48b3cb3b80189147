"""Time one training step of EMLC, MLC and MW-Net as ratios to a Cross-Entropy step, all in one run."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emlc.records.artefacts import write_json, write_text
from emlc.records.errors import SuiteError
from pipelines.bench.arguments import add_workload, facts, open_workload
from pipelines.machine.cli import Parser, run

if TYPE_CHECKING:
    import pandas as pd

    from pipelines.bench.cases import Workload
    from pipelines.bench.precision import Errors

DEFAULT_CASES = (
    "EMLC k=1 taped",
    "EMLC k=5 taped",
    "EMLC k=1 straightforward",
    "EMLC k=5 straightforward",
    "MLC straightforward",
    "MLC straightforward, no clean half",
    "MLC",
    "MW-Net",
)
WARM_UP = 3
"""Rounds whose times are not counted."""


def main(argv: Sequence[str]) -> int:
    """Run the benchmark and print its table."""
    args = _parser().parse_args(argv)
    if args.rounds < 1:
        raise SuiteError(f"--rounds is {args.rounds}; it must be at least 1")
    workload = open_workload(args, (1, 8, 8) if args.model == "cnn-small" else (3, 32, 32))

    from pipelines.bench.cases import CASES
    from pipelines.bench.memory import peak_bytes
    from pipelines.bench.page import markdown
    from pipelines.bench.precision import meta_gradient_errors

    names = tuple(CASES) if args.cases == ["all"] else tuple(args.cases)
    unknown = [name for name in names if name not in CASES]
    if unknown:
        raise SuiteError(f"unknown case {unknown[0]!r}; known: {'; '.join(CASES)}")
    left_out = [name for name in names if not CASES[name].computes_in(args.precision)]
    names = tuple(name for name in names if name not in left_out)
    ratios = time_ratios(workload, names, args.rounds)
    peaks = {name: peak_bytes(workload, CASES[name], args.threads) for name in names} if args.memory else {}
    errors = {name: meta_gradient_errors(workload, CASES[name]) for name in names} if args.errors else {}
    table = summary(workload, ratios, peaks, errors)
    about = {**facts(workload, args.threads), "rounds": args.rounds, "warm_up": WARM_UP, "left_out": left_out}
    page = markdown(table, ratios, about)
    if args.out is not None:
        arithmetic = table.set_index("case")["flops"].to_dict()
        record = {"about": about, "ratios": ratios, "arithmetic": arithmetic, "peak_bytes": peaks, "errors": errors}
        _write(args.out, page, table, record)
    print(page)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser("pipelines.bench", description=__doc__)
    add_workload(parser)
    parser.add_argument("--rounds", type=int, default=15, help="measured rounds, each with every case once")
    parser.add_argument("--cases", nargs="+", default=DEFAULT_CASES, metavar="CASE", help="names of cases, or: all")
    parser.add_argument(
        "--memory", action="store_true", help="measure each case's peak memory, in a process of its own"
    )
    parser.add_argument("--errors", action="store_true", help="compare each meta-gradient with float64")
    parser.add_argument("--out", type=Path, help="folder for bench.md, bench.csv and bench.json")
    return parser


def time_ratios(workload: "Workload", names: Sequence[str], rounds: int) -> dict[str, list[float]]:
    """Return the time of each case's step per noisy batch, over that of the plain steps before and after it.

    Every round measures every case once, in an order that rotates from round to round, so that a slow minute of a
    shared machine meets all of them alike.
    """
    import torch
    from tqdm import tqdm

    from pipelines.bench.cases import CASES, PLAIN
    from pipelines.machine.stopwatch import seconds

    device = torch.device(workload.device)

    plain = workload.step(PLAIN)
    steps = {name: workload.step(CASES[name]) for name in names}
    ratios: dict[str, list[float]] = {name: [] for name in names}
    for turn in tqdm(range(WARM_UP + rounds), unit="round", disable=None):
        order = [*names[turn % len(names) :], *names[: turn % len(names)]]
        before = seconds(plain, device)
        for name in order:
            spent = seconds(steps[name], device) / CASES[name].batches
            after = seconds(plain, device)
            if turn >= WARM_UP:
                ratios[name].append(2 * spent / (before + after))
            before = after
    return ratios


def flops_per_batch(workload: "Workload", name: str) -> int:
    """Return the floating-point operations of a case's step per noisy batch, counted by torch."""
    from torch.utils.flop_counter import FlopCounterMode

    from pipelines.bench.cases import CASES, PLAIN

    case = CASES.get(name, PLAIN)
    step = workload.step(case)
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() // case.batches


def summary(
    workload: "Workload",
    ratios: Mapping[str, list[float]],
    peaks: Mapping[str, int],
    errors: Mapping[str, "Errors | None"],
) -> "pd.DataFrame":
    """Return one row per case: ratios of time (quartiles, n) and of arithmetic, memory, error of the meta-gradient."""
    import pandas as pd

    plain = flops_per_batch(workload, "plain")
    rows = []
    for name, values in ratios.items():
        low, median, high = pd.Series(values).quantile([0.25, 0.5, 0.75])
        arithmetic = flops_per_batch(workload, name) / plain
        row = {"case": name, "time": median, "q25": low, "q75": high, "n": len(values), "flops": arithmetic}
        if name in peaks:
            row["peak_mib"] = peaks[name] / 2**20
        if errors.get(name):
            row |= {"error": errors[name].plain, "error_same_signs": errors[name].same_signs}
        rows.append(row)
    return pd.DataFrame(rows)


def _write(folder: Path, page: str, table: "pd.DataFrame", record: Mapping[str, Any]) -> None:
    write_text(folder / "bench.md", page)
    write_text(folder / "bench.csv", table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_json(folder / "bench.json", record)


if __name__ == "__main__":
    run(main)
