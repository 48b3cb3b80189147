"""Time the reference loop, which says how fast this machine is; or say how long what came after it took."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emlc.records.artefacts import read_json, write_json
from pipelines.machine.cli import Parser, run
from pipelines.machine.devices import use_reproducible_kernels
from pipelines.page.accuracies import read_table
from pipelines.planning.hours import SPEED


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    parser = Parser("pipelines.speed", description=__doc__)
    parser.add_argument("--after", type=Path, metavar="TABLE", help="say how long TABLE's runs took since then")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="that the runs are given (default: all)")
    args = parser.parse_args(argv)
    if args.after is None:
        _measure(args.cores)
    else:
        _conclude(args.after)
    return 0


def _measure(cores: int) -> None:
    use_reproducible_kernels()
    from pipelines.machine.speed import reference_seconds

    seconds = reference_seconds()
    write_json(SPEED, {"reference_seconds": seconds, "cores": cores, "started": time.time()})
    print(f"Reference loop: {seconds:.2f} s on one core of {cores} (python -m pipelines.plan says how long runs take)")


def _conclude(table: Path) -> None:
    begun = read_json(SPEED)
    seconds = time.time() - begun["started"]
    counts = counted(read_table(table), begun["started"])
    write_json(SPEED, {**begun, "seconds": seconds, **counts})
    if counts["trained"]:
        per_run = seconds / counts["trained"]
        print(f"{counts['trained']} of {counts['runs']} runs trained in {seconds:,.0f} s: {per_run:.2f} s a run")


def counted(table: Mapping[str, Any], since: float) -> dict[str, int]:
    """Return how many runs a table shows, and how many of them were trained since a time (seconds since 1970)."""
    cells = table["cells"]
    folders = {folder for cell in cells for folder in cell["runs"].values()}
    folders |= {run["folder"] for cell in cells for run in cell["failed"]}
    records = [Path(folder) / "record.json" for folder in folders]
    trained = sum(record.exists() and record.stat().st_mtime >= since for record in records)
    return {"runs": len(records), "trained": trained}


if __name__ == "__main__":
    run(main)
