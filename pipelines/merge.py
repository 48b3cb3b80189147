"""Bring the finished artefacts of other results folders into this one, by their ids; a conflict stops it.

An artefact's id is the checksum of all that decides it, and its seal holds the checksums of its files, so equal ids are
the same work, whoever did it. Two runs of one id must also agree in their records' fingerprints (everything but times).
Nothing is copied unless everything agrees.
"""

import contextlib
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from emlc.records.artefacts import read_json
from emlc.records.errors import SuiteError
from emlc.records.record import read_record
from emlc.records.store import RUNS, SEAL, Order, complaint, filling
from pipelines.machine.cli import Parser, run
from pipelines.profile.places import ROOT


def merge(others: Sequence[Path], into: Path) -> dict[str, int]:
    """Copy what `into` lacks of `others`; return how many artefacts were ``copied`` and how many ``agreed``.

    Raises
    ------
    SuiteError
        Naming what conflicts, or an artefact that is damaged; nothing is copied then.
    """
    known = {(order.kind, order.id): order for order in _sound(into)}
    new, conflicts, agreed = [], [], 0
    for order in (order for folder in others for order in _given(folder)):
        first = known.setdefault((order.kind, order.id), order)
        if first is order:
            new.append(order)
        elif reason := difference(first, order):
            conflicts.append(f"{order.kind} {order.id} ({first.folder} and {order.folder}: {reason})")
        else:
            agreed += 1
    if conflicts:
        raise SuiteError(f"{len(conflicts)} conflicts, nothing merged; keep one of each: {'; '.join(conflicts)}")
    for order in new:
        _copy(order, into)
    return {"copied": len(new), "agreed": agreed}


def _sound(results: Path) -> Iterator[Order]:
    """Yield the artefacts that are whole; others are as good as none, and may be replaced."""
    for folder in _folders(results):
        with contextlib.suppress(SuiteError):
            yield _order(results, folder)


def _given(results: Path) -> list[Order]:
    """Return the artefacts of another folder, all of which must be whole."""
    found = [_order(results, folder) for folder in _folders(results)]
    if not found:
        raise SuiteError(f"{results} holds no results; give folders like results/, with runs/ and store/ in them")
    return found


def _folders(results: Path) -> list[Path]:
    """Return the folders of all artefacts; those of unfinished ones begin with a dot."""
    return sorted([*results.glob(f"{RUNS}/[!.]*"), *results.glob("store/[!.]*/[!.]*")])


def _order(results: Path, folder: Path) -> Order:
    """Return the order that an artefact fulfils.

    Raises
    ------
    SuiteError
        If it is not whole, or not what its folder says.
    """
    if reason := complaint(folder, folder.name):
        raise SuiteError(f"{reason}; delete {folder}, nothing was merged")
    seal = read_json(folder / SEAL)
    return Order(seal["kind"], seal["identity"], {}, results)


def difference(one: Order, other: Order) -> str:
    """Return in what the records of two runs of one id differ; empty if they agree, or are no runs."""
    if one.kind != RUNS:
        return ""
    records: list[dict[str, Any]] = [read_record(order.folder / "record.json") for order in (one, other)]
    if records[0]["fingerprint"] == records[1]["fingerprint"]:
        return ""
    names = {name for record in records for name in record} - {"timing", "sha256", "fingerprint"}
    return "other " + ", ".join(sorted(name for name in names if records[0].get(name) != records[1].get(name)))


def _copy(order: Order, into: Path) -> None:
    with filling(Order(order.kind, order.identity, order.about, into)) as folder:
        shutil.copytree(order.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(SEAL))


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
