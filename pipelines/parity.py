"""Compare our methods with their official code: same weights, same batches, float64.

``python -m pipelines.parity --official FOLDER [--method M ...] [--md OUT] [--json OUT]``

FOLDER holds clones of the official repositories, each in a folder ``owner+name``; whichever is missing is named with
the command that makes it. Their code is run, never kept. Exit status: 0 all that was compared agrees, or does once
named defects of the official code are undone; 1 a difference that no named defect explains; 2 bad usage; 3 nothing
could be compared.
"""

from collections.abc import Sequence
from pathlib import Path

from emlc.records.artefacts import write_json, write_text
from emlc.records.errors import SuiteError
from pipelines.machine.cli import Parser, run
from pipelines.official.outcome import METHODS, Outcome, compare_method, exit_status
from pipelines.official.page import as_json, as_markdown, lines


def main(argv: Sequence[str]) -> int:
    """Run the step; the exit status is 1 if a difference is not explained, 3 if there is none at all."""
    args = _parser().parse_args(argv)
    if not args.official.is_dir():
        raise SuiteError(f"{args.official} is not a folder; make it and clone the official repositories into it")
    outcomes = [_told(compare_method(name, args.official)) for name in dict.fromkeys(args.method or METHODS)]
    write_text(args.md, as_markdown(outcomes))
    write_json(args.json, as_json(outcomes))
    return exit_status(outcomes)


def _told(outcome: Outcome) -> Outcome:
    """Print a method's lines as soon as they are there."""
    for line in lines(outcome):
        print(line, flush=True)
    return outcome


def _parser() -> Parser:
    parser = Parser("pipelines.parity", description=__doc__.splitlines()[0])
    parser.add_argument("--official", type=Path, required=True, metavar="FOLDER", help="clones, each in owner+name")
    parser.add_argument("--method", action="append", choices=METHODS, help="only this one; may be repeated")
    parser.add_argument(
        "--md", type=Path, default=Path("results/parity.md"), metavar="OUT", help="default: %(default)s"
    )
    parser.add_argument(
        "--json", type=Path, default=Path("results/parity.json"), metavar="OUT", help="default: %(default)s"
    )
    return parser


if __name__ == "__main__":
    run(main)
