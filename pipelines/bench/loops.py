"""Images per second of whole training loops, augmentation included, against straightforward ones with a data loader."""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from emlc.records.artefacts import write_json, write_text
from emlc.records.errors import SuiteError
from pipelines.bench.arguments import add_workload, facts, open_workload
from pipelines.machine.cli import Parser, run

if TYPE_CHECKING:
    from emlc.engine.contract import StudentMethod
    from pipelines.bench.cases import Workload
    from pipelines.bench.feeds import Feed

LOOPS = {
    "Cross-Entropy": ("plain", "plain"),
    "MLC": ("MLC", "MLC straightforward"),
    "EMLC k=1": ("EMLC k=1 taped", "EMLC k=1 straightforward"),
    "EMLC k=5": ("EMLC k=5 taped", "EMLC k=5 straightforward"),
}
"""What is trained -> the suite's case of :mod:`pipelines.bench.cases` and the straightforward one."""


def main(argv: Sequence[str]) -> int:
    """Run the benchmark and print its table."""
    args = _parser().parse_args(argv)
    for name in ("updates", "rounds"):
        if getattr(args, name) < 1:
            raise SuiteError(f"--{name} is {getattr(args, name)}; it must be at least 1")
    if args.precision == "float64":
        raise SuiteError("training loops compute in float32, tf32 or bfloat16; choose --precision among them")
    workload = open_workload(args, (3, 32, 32))
    about = facts(workload, args.threads)
    about |= {"workers": args.workers, "rounds": args.rounds, "updates": args.updates}
    speeds = measure(workload, args.loops, args.rounds, args.updates, args.workers)
    record = {"about": about, "images_per_second": speeds, **arithmetic(workload, args.loops)}
    page = markdown(record)
    if args.out is not None:
        write_text(args.out / "loops.md", page)
        write_json(args.out / "loops.json", record)
    print(page)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser("pipelines.bench.loops", description=__doc__)
    add_workload(parser)
    parser.add_argument("--loops", nargs="+", choices=LOOPS, default=list(LOOPS), help="what to train")
    parser.add_argument("--rounds", type=int, default=5, help="each with every loop once")
    parser.add_argument("--updates", type=int, default=50, help="of the student in one turn; k = 5 makes five a step")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes of each data loader")
    parser.add_argument("--out", type=Path, help="folder for loops.md and loops.json")
    return parser


def measure(
    workload: "Workload", loops: Sequence[str], rounds: int, updates: int, workers: int
) -> dict[str, dict[str, list[float]]]:
    """Return, for each loop, the images per second of the suite's and of the straightforward one, round by round.

    The two take turns. The straightforward one trains in IEEE float32 and channels first on images from PyTorch's
    data loader; each of its turns starts with the batches that the loader makes ahead, uncounted.
    """
    from tqdm import tqdm

    from pipelines.bench.feeds import PREFETCHED, pairs, per_image, resident

    ieee = replace(workload, precision="float32", channels_last=False)
    speeds: dict[str, dict[str, list[float]]] = {loop: {"suite": [], "straightforward": []} for loop in loops}
    methods = {loop: (_method(workload, LOOPS[loop][0]), _method(ieee, LOOPS[loop][1])) for loop in loops}
    for _ in tqdm(range(rounds), unit="round", disable=None):
        for loop, (fast, plain) in methods.items():
            feed = pairs(partial(resident, workload), fast)
            speeds[loop]["suite"].append(images_per_second(workload, fast, feed, updates, 2))
            feed = pairs(partial(per_image, ieee, workers), plain)
            warm_up = 2 + PREFETCHED * workers
            speeds[loop]["straightforward"].append(images_per_second(ieee, plain, feed, updates, warm_up))
            del feed  # ends the loader's processes, which would work on beside the next turn
    return speeds


def _method(workload: "Workload", name: str) -> "StudentMethod":
    from pipelines.bench.cases import CASES, PLAIN

    return workload.method(CASES.get(name, PLAIN))


def images_per_second(workload: "Workload", method: "StudentMethod", feed: "Feed", updates: int, warm_up: int) -> float:
    """Return how many noisy images a loop trains on per second, after `warm_up` steps."""
    import torch

    from emlc.models.precision import matrix_products
    from pipelines.machine.stopwatch import seconds

    steps = -(-updates * workload.batch // method.noisy.size)

    def train(count: int) -> Callable[[], None]:
        def work() -> None:
            for noisy, clean in islice(feed, count):
                method.learn(noisy, clean)

        return work

    with matrix_products(workload.precision):
        train(warm_up)()
        taken = seconds(train(steps), torch.device(workload.device))
    return steps * method.noisy.size / taken


def arithmetic(workload: "Workload", loops: Sequence[str]) -> dict[str, Any]:
    """Return the operations per noisy image that the suite's loops need and those per second that a product reaches."""
    from pipelines.bench.__main__ import flops_per_batch

    per_image = {loop: flops_per_batch(workload, LOOPS[loop][0]) / workload.batch for loop in loops}
    return {"flops_per_image": per_image, "matmul_flops_per_second": matmul_rate(workload)}


def matmul_rate(workload: "Workload") -> float:
    """Return the floating-point operations per second of a large square matrix product in the workload's precision."""
    import torch

    from emlc.models.precision import matrix_products
    from pipelines.machine.stopwatch import seconds

    device = torch.device(workload.device)
    side = 1024 if workload.device == "cpu" else 8192
    dtype = torch.bfloat16 if workload.precision == "bfloat16" else workload.dtype
    factor = torch.randn(side, side, device=workload.device, dtype=dtype)
    with matrix_products(workload.precision):
        taken = [seconds(lambda: factor @ factor, device) for _ in range(20)]
    return 2 * side**3 / median(taken)


def markdown(record: Mapping[str, Any]) -> str:
    """Return the record as a page."""
    import pandas as pd

    from pipelines.bench.page import title
    from pipelines.machine.stopwatch import spread

    about, rows = record["about"], []
    for loop, speeds in record["images_per_second"].items():
        suite, plain = spread(speeds["suite"]), spread(speeds["straightforward"])
        ratio = spread([fast / slow for fast, slow in zip(speeds["suite"], speeds["straightforward"], strict=True)])
        share = suite.median * record["flops_per_image"][loop] / record["matmul_flops_per_second"]
        rows.append([loop, suite, plain, ratio, f"{share:.0%}"])
    columns = ["loop", "images/s", "straightforward, images/s", "times as fast", "of the matrix rate"]
    table = pd.DataFrame(rows, columns=columns).map(str).to_markdown(index=False, disable_numparse=True)
    return f"{title('Training loops', about)}\n\n{table}\n\n{_protocol(record)}\n"


def _protocol(record: Mapping[str, Any]) -> str:
    about, rate = record["about"], record["matmul_flops_per_second"] / 1e12
    return f"""\
Medians [quartiles] of {about["rounds"]} rounds in which the loops take turns of {about["updates"]} student updates. A
loop draws, augments and trains; evaluation is not in it. Images are noisy ones of 32x32 pixels; the clean batches that
come with them are not counted. *Straightforward*: float32 (no TF32), channels first, images augmented one by one in
torchvision and PyTorch's data loader ({about["workers"]} processes for noisy and as many for clean ones, which
Cross-Entropy does without in both); EMLC copies
the student and recomputes its forward pass with dual numbers, MLC differentiates twice. The last column divides the
arithmetic of the suite's loop, counted by torch, by that of a large matrix product in the same precision
({rate:.3g} TFLOP/s here)."""


if __name__ == "__main__":
    run(main)
