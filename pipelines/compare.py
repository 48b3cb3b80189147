"""Compare a results table with the paper's, cell by cell.

``python -m pipelines.compare RESULT.csv PUBLISHED.csv [--table RESULT.json] [--json OUT] [--md OUT]
[--tolerance POINTS]``

The rule of the verdicts is `emlc.judging.verdicts.RULE`: a test of equivalence and one of difference and, where they
cannot tell, the tolerance on the means. A ``provenance.yaml`` beside PUBLISHED.csv names the published numbers with
known defects and says what the numbers were trained by; RESULT.json, the same table with its runs, names those that
failed and may hold each cell's `recipe`: a number of another recipe is not comparable. Exit status: 0 every comparable
cell is reproduced, 1 at least one deviates, 2 bad usage or unreadable input, 3 no cell could be judged.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from emlc.judging.cells import PUBLISHED_COLUMNS, RESULT_COLUMNS
from emlc.judging.comparison import DEFAULT_TOLERANCE
from emlc.judging.verdicts import DEVIATES
from emlc.records.errors import SuiteError
from pipelines.machine.cli import Parser, run
from pipelines.page.comparison import read_comparison, summary, unjudged, write_comparison

UNJUDGED = 3


def main(argv: Sequence[str]) -> int:
    """Run the step; see above for its exit status."""
    arguments = _parser().parse_args(argv)
    outputs = [path for path in (arguments.json, arguments.md) if path is not None]
    inputs = [arguments.result, arguments.published, arguments.table]
    _refuse_overwriting([path for path in inputs if path is not None], outputs)
    found = read_comparison(arguments.result, arguments.published, arguments.table, arguments.tolerance)
    write_comparison(found, arguments.result.name, arguments.md, arguments.json)
    comparison, _ = found
    print(summary(comparison))
    for name in comparison.unmatched:
        nearest = "" if name.nearest is None else f"; the nearest is {name.nearest!r}"
        print(f"not in {arguments.published}: {name.axis} {name.name!r}{nearest}", file=sys.stderr)
    if not comparison.judged:
        print(unjudged(comparison), file=sys.stderr)
        return UNJUDGED
    return int(comparison.counts[DEVIATES] > 0)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="pipelines.compare", description="Compare a results table with the paper's, cell by cell.")
    parser.add_argument("result", metavar="RESULT.csv", type=Path, help=f"columns {','.join(RESULT_COLUMNS)}")
    parser.add_argument("published", metavar="PUBLISHED.csv", type=Path, help=f"columns {','.join(PUBLISHED_COLUMNS)}")
    parser.add_argument(
        "--table",
        metavar="RESULT.json",
        type=Path,
        help="the result as JSON (pipelines.table), to tell failed runs and other recipes",
    )
    parser.add_argument("--json", metavar="OUT", type=Path, help="write the comparison as JSON")
    parser.add_argument("--md", metavar="OUT", type=Path, help="write the comparison as Markdown")
    parser.add_argument(
        "--tolerance",
        metavar="POINTS",
        type=_points,
        default=DEFAULT_TOLERANCE,
        help="largest difference in accuracy points that counts as reproduced (default: %(default)s)",
    )
    return parser


def _refuse_overwriting(inputs: Sequence[Path], outputs: Sequence[Path]) -> None:
    places = {path.resolve() for path in outputs}
    if len(places) < len(outputs) or places & {path.resolve() for path in inputs}:
        raise SuiteError("--json and --md must name two files that are not the inputs")


def _points(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of accuracy points, finite and at least 0")
    return value


if __name__ == "__main__":
    run(main)
