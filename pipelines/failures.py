"""Name the failed runs of a table; the exit status is 1 if there are any."""

from collections.abc import Sequence
from pathlib import Path

from pipelines.machine.cli import Parser, run
from pipelines.page.accuracies import read_table


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    parser = Parser("pipelines.failures", description=__doc__)
    parser.add_argument("table", type=Path, help="table in JSON (pipelines.table)")
    args = parser.parse_args(argv)
    table = read_table(args.table)
    failed = [item for cell in table["cells"] for item in cell["failed"]]
    for item in failed:
        print(f"failed run: {item['error']}; to try again, delete {item['folder']}")
    return int(bool(failed))


if __name__ == "__main__":
    run(main)
