"""Train one method on one task, or on the tasks of several seeds in turn, and write each run's record and histories."""

import argparse
import csv
import io
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from emlc.records.artefacts import write_text
from emlc.records.errors import SuiteError
from emlc.records.record import FAILED, files_digests, write_record
from pipelines.machine.cli import Parser, run
from pipelines.machine.devices import use_reproducible_kernels
from pipelines.machine.interrupts import Keep, StopRequest, stoppable
from pipelines.profile.load import load_settings
from pipelines.profile.settings import DEFAULT_PROFILE, Run, Settings


def main(argv: Sequence[str]) -> int:
    """Run the step; exit status 1 if a run failed while training (its record is written all the same).

    What is wrong with one seed's task does not cost the other seeds their runs: it is told when these are done. With
    ``--checkpoints``, SIGTERM and SIGINT end it after the training step at hand, with status 128 + signal.
    """
    args = _parser().parse_args(argv)
    if not len(args.seed) == len(args.task) == len(args.out):
        raise SuiteError("--seed, --task and --out must name equally many: one task and one folder for each seed")
    settings = load_settings(args.config)
    use_reproducible_kernels()
    if args.checkpoints is None:
        return _train_all(settings, args, None)
    return stoppable(partial(_train_all, settings, args))


def _train_all(settings: Settings, args: argparse.Namespace, stopped: StopRequest | None) -> int:
    """Train the run of each seed in turn."""
    statuses, refused = [], []
    for position, seed in enumerate(args.seed):
        which = Run(args.method, args.dataset, args.noise, args.rate, seed)
        try:
            statuses.append(_train(settings, which, args, position, stopped))
        except SuiteError as error:
            refused.append(str(error))
    if refused:
        raise SuiteError("; ".join(dict.fromkeys(refused)))
    return int(FAILED in statuses and not args.keep_going)


def _train(settings: Settings, which: Run, args: argparse.Namespace, position: int, stopped: StopRequest | None) -> str:
    """Train one run, write its files and return its status."""
    from pipelines.experiment import execute

    keep = None if stopped is None else Keep(args.checkpoints / f"{which.folder}.pt", stopped)
    content, history = execute(settings, which, args.data, args.task[position], args.pretrained, keep)
    if content["status"] == FAILED:
        print(f"run {settings['profile']}/{which.folder} failed: {content['error']}", file=sys.stderr)
    else:
        content["timing"]["seeds_of_process"] = args.seed[: position + 1]
    out = args.out[position]
    write_text(out / "history.csv", _as_csv(history.epochs, ["epoch"]))
    write_text(out / "steps.csv", _as_csv(history.steps, ["step"]))
    files = files_digests(out, ("history.csv", "steps.csv"))
    write_record(out / "record.json", {**content, "files": files})
    return content["status"]


def _parser() -> argparse.ArgumentParser:
    parser = Parser("pipelines.train", description=__doc__)
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile files")
    parser.add_argument("--method", required=True, help="a key of the profile's methods")
    parser.add_argument("--dataset", required=True, help="a key of the profile's datasets")
    parser.add_argument("--noise", required=True, help="kind, e.g. sym")
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seed", type=int, nargs="+", required=True, help="one or more, trained one after the other")
    parser.add_argument("--data", type=Path, required=True, help="prepared arrays (pipelines.prepare)")
    parser.add_argument("--task", type=Path, nargs="+", required=True, help="each seed's task (pipelines.inject)")
    parser.add_argument("--pretrained", type=Path, help="encoder of a method that starts from SimCLR")
    parser.add_argument(
        "--out", type=Path, nargs="+", required=True, help="each seed's folder: record.json, and two histories"
    )
    parser.add_argument("--checkpoints", type=Path, help="folder to go on from, and to leave checkpoints in")
    parser.add_argument("--keep-going", action="store_true", help="exit 0 after a failed run: its record tells")
    return parser


def _as_csv(rows: Sequence[Mapping[str, Any]], header: list[str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


if __name__ == "__main__":
    run(main)
