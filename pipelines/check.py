"""Check a method of your own on a tiny task in memory: contract, determinism, resuming, labels, randomness, waits."""

import argparse
import json
from collections.abc import Sequence
from typing import Any

from pipelines.machine.cli import Parser, at_least, run


def main(argv: Sequence[str]) -> int:
    """Run the checks, print a line for each, and return 0 if all passed, else 1.

    Raises
    ------
    SuiteError
        If there is no such method, or an option is not one of its.
    """
    from emlc.engine.checks import check_method
    from emlc.engine.run import method_class, parse_options
    from emlc.engine.trial import Trial

    args = _parser().parse_args(argv)
    parse_options(method_class(args.method).Options, args.options, args.method)
    failed = False
    for finding in check_method(Trial(args.method, args.options, args.epochs)):
        print(f"ok    {finding.check}" if finding.fault is None else f"FAIL  {finding.check}: {finding.fault}")
        failed |= finding.fault is not None
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    parser = Parser("pipelines.check", description=__doc__)
    parser.add_argument("method", metavar="METHOD", help="module that names a METHOD, e.g. baselines.my_method")
    parser.add_argument(
        "--options", type=_options, default={}, help="as JSON; short phases, so that all of them are reached"
    )
    parser.add_argument("--epochs", type=at_least(1), default=4, help="of about ten steps")
    return parser


def _options(text: str) -> dict[str, Any]:
    options = json.loads(text)
    if not isinstance(options, dict):
        raise argparse.ArgumentTypeError(f"{text} is no JSON object, as '{{\"warm_up\": 1}}' is")
    return options


if __name__ == "__main__":
    run(main)
