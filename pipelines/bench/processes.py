"""Images per second of a whole training loop by 1, 2, ... processes, each on a GPU or CPU of its own."""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from emlc.records.errors import SuiteError
from pipelines.bench.arguments import add_workload, open_workload
from pipelines.bench.loops import LOOPS, images_per_second
from pipelines.machine.cli import Parser, at_least, run
from pipelines.machine.devices import device_name
from pipelines.machine.torchrun import rank
from pipelines.training.together import joined


def main(argv: Sequence[str]) -> int:
    """Train by each number of processes in turn and print a table; as one of these processes, print its number."""
    args = _parser().parse_args(argv)
    if args.member:
        answer = measured(args)
        if rank() == 0:
            print(json.dumps(answer))
        return 0
    answers = {count: asked(count, argv) for count in sorted(set(args.counts))}
    print(markdown(args, answers))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser("pipelines.bench.processes", description=__doc__)
    add_workload(parser)
    parser.set_defaults(threads=1)
    parser.add_argument("--counts", nargs="+", type=at_least(1), default=[1, 2], help="numbers of processes")
    parser.add_argument("--loop", choices=LOOPS, default="EMLC k=1", help="what to train")
    parser.add_argument("--side", type=at_least(8), default=32, help="of the images")
    parser.add_argument("--updates", type=at_least(1), default=50, help="of the student that are timed")
    parser.add_argument("--batch-norm", choices=("synchronised", "local"), default="synchronised")
    parser.add_argument("--member", action="store_true", help=argparse.SUPPRESS)
    return parser


def asked(count: int, argv: Sequence[str]) -> dict[str, Any]:
    """Return what so many processes measure.

    Raises
    ------
    SuiteError
        If they fail; what they print on standard error says why.
    """
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command = [*launcher, "-m", "pipelines.bench.processes", *argv, "--member"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SuiteError(f"{count} processes ended with status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def measured(args: argparse.Namespace) -> dict[str, Any]:
    """Train as one of several processes and return the images per second of all, and where that was."""
    with joined(args.device):
        workload = open_workload(args, (3, args.side, args.side))

        from emlc.engine.distributed import average_gradients
        from emlc.engine.state import networks
        from emlc.models import processes
        from emlc.models.batch_norm import synchronise
        from pipelines.bench.cases import CASES, PLAIN
        from pipelines.bench.feeds import pairs, resident

        processes.share(args.batch)
        method = workload.method(CASES.get(LOOPS[args.loop][0], PLAIN))
        average_gradients(method)
        if args.batch_norm == "synchronised" and processes.count() > 1:
            for network in networks(method):
                synchronise(network)
        feed = pairs(partial(resident, workload), method)
        speed = images_per_second(workload, method, feed, args.updates, 2)
        return {"images_per_second": speed, "machine": device_name(method.setting.device)}


def markdown(args: argparse.Namespace, answers: Mapping[int, Mapping[str, Any]]) -> str:
    """Return a table with a row for each number of processes."""
    from tabulate import tabulate

    first = answers[min(answers)]["images_per_second"]
    rows = [
        (count, f"{answer['images_per_second']:.4g}", f"{answer['images_per_second'] / first:.2f}", answer["machine"])
        for count, answer in answers.items()
    ]
    about = f"{args.loop}, {args.model}, batches of {args.batch} shared, {args.batch_norm} batch normalisation"
    columns = ["processes", "images/s", f"times {min(answers)}'s", "each on"]
    return f"{about}:\n\n{tabulate(rows, columns, tablefmt='github', disable_numparse=True)}"


if __name__ == "__main__":
    run(main)
