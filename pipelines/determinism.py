"""Say whether a profile gives the same scores in two clones, on any number of cores and threads, and after kills.

Each row is a whole workflow in a clone of its own; all are held against the first. Takes as long as so many tables.
"""

import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate

from emlc.records.artefacts import canonical_json, file_digest, sha256_bytes, write_text
from emlc.records.errors import SuiteError
from emlc.records.record import read_record
from pipelines.machine.cli import Parser, run
from pipelines.profile.load import load_profile
from pipelines.profile.model import Profile, said
from pipelines.profile.places import DEFAULT_PROFILE, ROOT

HEADER = ["Workflow", "Kills", "Runs resumed", "Tables (sha256)", "Scores (sha256)", "As the first"]
PROFILE = "determinism.json"


class Series(NamedTuple):
    """One workflow: its name, the cores and threads it gets (None: the profile's) and how often it is killed."""

    name: str
    cores: int = 1
    threads: int | None = None
    kills: int = 0


SERIES = (
    Series("clone 1, 1 core"),
    Series("clone 2, 1 core"),
    Series("clone 3, 4 cores", cores=4),
    Series("clone 4, killed at random moments", cores=2, kills=5),
    Series("clone 5, 2 threads a run", threads=2),
)


class Outcome(NamedTuple):
    """What a workflow left: checksums of its tables and of all runs' scores, and how it came about."""

    table: str
    scores: str
    kills: int
    resumed: int


def clone(folder: Path) -> Path:
    """Copy the repository's tracked files, as they are now, to a folder."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    return folder


def make(profile: Profile, series: Series, folder: Path, seconds: float) -> Outcome:
    """Run one workflow in a fresh clone.

    Raises
    ------
    SuiteError
        If the workflow fails.
    """
    clone(folder)
    changed = profile.model_copy(update={"threads": series.threads or profile.threads})
    write_text(folder / PROFILE, json.dumps(said(changed)))  # not sorted: tables keep the order of methods
    tables = [f"results/{name}.csv" for name in profile.tables]
    coin, kills = random.Random(series.name), 0
    for _ in range(series.kills):
        kills += _killed(_start(folder, series.cores, tables), coin.uniform(0, seconds))
        _snakemake(folder, "--cores", "1", "--unlock")
    if _start(folder, series.cores, tables).wait():
        raise SuiteError(f"the workflow '{series.name}' failed; see {folder / 'log'}")
    records = [read_record(path) for path in (folder / "results" / "runs").glob("*/record.json")]
    scores = sha256_bytes(*sorted(_scores(record) for record in records))
    resumed = sum(bool(record.get("timing", {}).get("resumed")) for record in records)
    made = sha256_bytes(*(file_digest(folder / table, "sha256").encode() for table in tables))
    return Outcome(made, scores, kills, resumed)


def _scores(record: Mapping[str, Any]) -> bytes:
    """Return a run and its scores in full precision as bytes that can be sorted; its id holds the number of threads."""
    return canonical_json([record["run"], record.get("epochs")]).encode()


def _command(folder: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "snakemake", "--configfile", PROFILE, *arguments]
    return {"args": command, "cwd": folder, "env": {**os.environ, "PYTHONPATH": str(folder)}}


def _start(folder: Path, cores: int, targets: Sequence[str]) -> subprocess.Popen[bytes]:
    with (folder / "log").open("ab") as log:
        options = _command(folder, "--cores", str(cores), "--", *targets)
        return subprocess.Popen(**options, stdout=log, stderr=log, start_new_session=True)


def _snakemake(folder: Path, *arguments: str) -> None:
    subprocess.run(**_command(folder, *arguments), capture_output=True, check=True)


def _killed(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Kill a workflow and all its jobs after so many seconds; false if it has ended by then."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def as_markdown(profile: Profile, outcomes: dict[str, Outcome]) -> str:
    """Return the report: one row a workflow."""
    first = next(iter(outcomes.values()))
    rows = [
        [
            name,
            result.kills,
            result.resumed,
            f"`{result.table[:16]}`",
            f"`{result.scores[:16]}`",
            _verdict(result, first),
        ]
        for name, result in outcomes.items()
    ]
    columns = len(profile.columns())
    about = (
        f"Profile `{profile.profile}`: {len(profile.methods)} methods, {columns} columns, "
        f"{len(profile.seeds)} seeds, {profile.training.epochs} epochs, on {platform.machine()}, Python "
        f"{platform.python_version()}. *Scores* are every epoch's losses and accuracies of all runs, in full precision."
    )
    note = "The number of threads is part of a record: PyTorch sums in another order with two."
    return f"# Determinism\n\n{about}\n\n{tabulate(rows, HEADER, 'github', disable_numparse=True)}\n\n{note}\n"


def _verdict(result: Outcome, first: Outcome) -> str:
    if result.scores == first.scores:
        return "bit for bit"
    return "same table, other bits" if result.table == first.table else "other scores"


def main(argv: Sequence[str]) -> int:
    """Run the step; exit status 1 if a clone, a number of cores or a kill changes anything."""
    parser = Parser("pipelines.determinism", description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile files")
    parser.add_argument("--seconds", type=float, default=60.0, help="kills come up to so many seconds after a start")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "determinism.md", help="page to write")
    args = parser.parse_args(argv)
    profile = load_profile(args.config)
    with tempfile.TemporaryDirectory() as folder:
        outcomes = {
            series.name: make(profile, series, Path(folder) / f"clone{number}", args.seconds)
            for number, series in enumerate(SERIES, start=1)
        }
    write_text(args.out, as_markdown(profile, outcomes))
    same = [result.scores for series, result in zip(SERIES, outcomes.values(), strict=True) if series.threads is None]
    return int(len(set(same)) > 1)


if __name__ == "__main__":
    run(main)
