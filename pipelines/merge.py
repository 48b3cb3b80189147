"""Bring results of other machines into this one's: equal ones agree, new ones are copied, conflicting ones stop it.

Runs are compared by their records' fingerprints (everything but times), data, tasks and encoders byte by byte. Nothing
is copied unless everything agrees.
"""

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from emlc.records.artefacts import atomic_path
from emlc.records.errors import SuiteError
from emlc.records.record import check_files, read_record
from pipelines.machine.cli import Parser, run
from pipelines.profile.settings import ROOT

INPUTS = ("data", "tasks", "pretrained")
"""Folders of a results folder besides ``runs``, in the order in which the workflow makes their files."""


def merge(others: Sequence[Path], into: Path) -> dict[str, int]:
    """Copy what `into` lacks of `others` and return how many files and runs were ``copied`` and ``agreed``.

    Raises
    ------
    SuiteError
        Naming what conflicts, or a record that is damaged; nothing is copied then.
    """
    known: dict[str, Path] = {}
    conflicts, agreed, copies = [], 0, []
    for folder in (into, *others):
        found = list(_entries(folder))
        if not found:
            raise SuiteError(f"{folder} holds no results; give folders like results/, with runs/ in them")
        for name in found:
            first = known.setdefault(name, folder)
            if first == folder:
                copies += [] if folder == into else [(folder / name, into / name)]
            elif reason := difference(first / name, folder / name):
                conflicts.append(f"{name} ({first} and {folder}: {reason})")
            else:
                agreed += 1
    if conflicts:
        raise SuiteError(f"{len(conflicts)} conflicts, nothing merged; keep one of each: {'; '.join(conflicts)}")
    for source, target in copies:
        _copy(source, target)
    return {"copied": len(copies), "agreed": agreed}


def _entries(folder: Path) -> Iterator[str]:
    """Yield the files of a results folder and the folders of its runs, in the order in which they are made."""
    for part in INPUTS:
        yield from sorted(str(path.relative_to(folder)) for path in (folder / part).rglob("*") if path.is_file())
    for path in sorted((folder / "runs").rglob("record.json")):
        check_files(read_record(path), path.parent)
        yield str(path.parent.relative_to(folder))


def difference(one: Path, other: Path) -> str:
    """Return in what two files, or the records of two runs, differ; empty if they agree."""
    if one.is_file():
        return "" if one.read_bytes() == other.read_bytes() else "other bytes"
    records = [read_record(folder / "record.json") for folder in (one, other)]
    if records[0]["fingerprint"] == records[1]["fingerprint"]:
        return ""
    names = {name for record in records for name in record} - {"timing", "sha256", "fingerprint"}
    return "other " + ", ".join(sorted(name for name in names if records[0].get(name) != records[1].get(name)))


def _copy(source: Path, target: Path) -> None:
    """Copy a file, or a run's files with its record last, as files of now: later than what they were made from."""
    files = sorted(source.iterdir(), key=lambda path: path.name == "record.json") if source.is_dir() else [source]
    for file in files:
        with atomic_path(target / file.name if source.is_dir() else target) as temporary:
            shutil.copyfile(file, temporary)


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    parser = Parser("pipelines.merge", description=__doc__.splitlines()[0])
    parser.add_argument("others", type=Path, nargs="+", help="results folders of other machines")
    parser.add_argument("--into", type=Path, default=ROOT / "results", help="results folder to complete")
    args = parser.parse_args(argv)
    done = merge(args.others, args.into)
    print(f"copied {done['copied']}, already there and equal {done['agreed']}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    run(main)
