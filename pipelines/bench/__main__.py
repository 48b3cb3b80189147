"""Time one training step of EMLC, MLC and MW-Net as ratios to a Cross-Entropy step, all in one run."""

import argparse
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emlc.artefacts import write_json, write_text
from emlc.errors import SuiteError
from pipelines.cli import Parser, run
from pipelines.devices import device_name, open_device, use_reproducible_kernels, versions

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
    use_reproducible_kernels()
    import torch

    from emlc.precision import memory_format
    from pipelines.bench.cases import CASES, Workload
    from pipelines.bench.memory import peak_bytes
    from pipelines.bench.page import markdown
    from pipelines.bench.precision import meta_gradient_errors

    open_device(args.device, args.threads)
    names = tuple(CASES) if args.cases == ["all"] else tuple(args.cases)
    unknown = [name for name in names if name not in CASES]
    if unknown:
        raise SuiteError(f"unknown case {unknown[0]!r}; known: {'; '.join(CASES)}")
    image = (1, 8, 8) if args.model == "cnn-small" else (3, 32, 32)
    trained_so = memory_format(args.precision, torch.device(args.device)) is torch.channels_last
    channels_last = trained_so if args.layout is None else args.layout == "channels-last"
    workload = Workload(args.model, args.width, args.batch, image, args.device, args.precision, channels_last)
    ratios = time_ratios(workload, names, args.rounds)
    peaks = {name: peak_bytes(workload, CASES[name], args.threads) for name in names} if args.memory else {}
    errors = {name: meta_gradient_errors(workload, CASES[name]) for name in names} if args.errors else {}
    table = summary(workload, ratios, peaks, errors)
    about = _about(workload, args.threads, args.rounds)
    page = markdown(table, ratios, about)
    if args.out is not None:
        _write(args.out, page, table, {"about": about, "ratios": ratios, "peak_bytes": peaks, "errors": errors})
    print(page)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser("pipelines.bench", description=__doc__)
    parser.add_argument("--model", default="resnet18", help="a backbone of emlc.models")
    parser.add_argument("--width", type=int, help="of the first stage (default: the model's own)")
    parser.add_argument("--batch", type=int, default=32, help="images in one noisy and in one clean batch")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--precision", default="float32", choices=("float32", "tf32", "bfloat16", "float64"))
    parser.add_argument("--layout", choices=("channels-first", "channels-last"), help="default: as training has it")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the CPU")
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
    from tqdm import tqdm

    from pipelines.bench.cases import CASES, PLAIN

    plain = workload.step(PLAIN)
    steps = {name: workload.step(CASES[name]) for name in names}
    ratios: dict[str, list[float]] = {name: [] for name in names}
    for turn in tqdm(range(WARM_UP + rounds), unit="round", disable=None):
        order = [*names[turn % len(names) :], *names[: turn % len(names)]]
        before = _seconds(plain, workload.device)
        for name in order:
            spent = _seconds(steps[name], workload.device) / CASES[name].batches
            after = _seconds(plain, workload.device)
            if turn >= WARM_UP:
                ratios[name].append(2 * spent / (before + after))
            before = after
    return ratios


def _seconds(step: Callable[[], Any], device: str) -> float:
    _synchronise(device)
    started = time.perf_counter()
    step()
    _synchronise(device)
    return time.perf_counter() - started


def _synchronise(device: str) -> None:
    import torch

    if device != "cpu":
        torch.cuda.synchronize()


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


def _about(workload: "Workload", threads: int, rounds: int) -> dict[str, Any]:
    import torch

    device = device_name(torch.device(workload.device))
    return {
        **asdict(workload),
        "threads": threads,
        "rounds": rounds,
        "warm_up": WARM_UP,
        "machine": device,
        **versions(),
    }


def _write(folder: Path, page: str, table: "pd.DataFrame", record: Mapping[str, Any]) -> None:
    write_text(folder / "bench.md", page)
    write_text(folder / "bench.csv", table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    write_json(folder / "bench.json", record)


if __name__ == "__main__":
    run(main)
