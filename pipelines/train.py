"""Train one method on one task and write its record and histories."""

import argparse
import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emlc.artefacts import write_text
from emlc.records import FAILED, write_record
from pipelines.cli import Parser, run
from pipelines.devices import use_reproducible_kernels
from pipelines.settings import DEFAULT_PROFILE, Run, load_settings


def main(argv: Sequence[str]) -> int:
    """Run the step; exit status 1 if the run failed while training (its record is written all the same)."""
    args = _parser().parse_args(argv)
    settings = load_settings(args.config)
    use_reproducible_kernels()
    from pipelines.experiment import execute

    which = Run(args.method, args.dataset, args.noise, args.rate, args.seed)
    content, history = execute(settings, which, args.data, args.task, args.pretrained)
    write_text(args.out / "history.csv", _as_csv(history.epochs, ["epoch"]))
    write_text(args.out / "steps.csv", _as_csv(history.steps, ["step"]))
    write_record(args.out / "record.json", content)
    if content["status"] != FAILED:
        return 0
    print(f"run {settings['profile']}/{which.folder} failed: {content['error']}", file=sys.stderr)
    return 0 if args.keep_going else 1


def _parser() -> argparse.ArgumentParser:
    parser = Parser("pipelines.train", description=__doc__)
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile files")
    parser.add_argument("--method", required=True, help="a key of the profile's methods")
    parser.add_argument("--dataset", required=True, help="a key of the profile's datasets")
    parser.add_argument("--noise", required=True, help="kind, e.g. sym")
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True, help="prepared arrays (pipelines.prepare)")
    parser.add_argument("--task", type=Path, required=True, help="task (pipelines.inject)")
    parser.add_argument("--pretrained", type=Path, help="encoder of a method that starts from SimCLR")
    parser.add_argument("--out", type=Path, required=True, help="folder for record.json, history.csv and steps.csv")
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
