"""Score each method's few candidate settings on clean images that the run does not see; test images play no part.

Every run is a line of ``results/recorded/tuning/<profile>-<table>.csv``, by the id of all that decides it: a search
that was stopped goes on where it was. The winners go into the profile by hand: a profile is meant to be read.
"""

import subprocess
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from emlc.records.artefacts import atomic_path, write_text
from emlc.records.errors import SuiteError
from emlc.records.store import SEAL, sound
from pipelines.machine.cli import Parser, at_least, run
from pipelines.machine.devices import device_name, open_device, use_reproducible_kernels, versions
from pipelines.page.tuning import COLUMNS, as_markdown, markers, read_trials, with_search
from pipelines.profile.budget import check_budget, load_budget
from pipelines.profile.load import load_profile
from pipelines.profile.places import DEFAULT_PROFILE, ROOT
from pipelines.training.trials import Search, Trial, score


def search(trials: Sequence[Trial], known: pd.DataFrame, file: Path, processes: int) -> pd.DataFrame:
    """Run the trials that have no line yet, and write the lines of all after each.

    Parameters
    ----------
    trials : sequence of Trial
    known : DataFrame
        Lines of a former search; those of other trials are kept.
    file : Path
    processes : int
    """
    here = _here(trials[0])
    waiting = [trial for trial in trials if trial.id not in set(known["run"])]
    with ProcessPoolExecutor(processes) as pool:
        done = zip(waiting, pool.map(score, waiting), strict=True)
        for trial, value in tqdm(done, total=len(waiting), unit="run", disable=None):
            known = pd.concat([known, pd.DataFrame([_line(trial, value, here)])], ignore_index=True)
            _write(known, file)
    return known


def _here(trial: Trial) -> dict[str, str]:
    """Return what a line says of where it was made."""
    device = open_device(trial.run.identity["device"], trial.run.identity["threads"])
    return {"torch": versions()["torch"], "device": device_name(device), "commit": _commit()}


def _commit() -> str:
    """Return the commit of the source code, and whether files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _line(trial: Trial, value: float, here: dict[str, str]) -> dict[str, Any]:
    facts = {"candidate": trial.candidate, "shared": trial.shared, "score": round(value, 4), "run": trial.id}
    return {**trial.which._asdict(), **facts, **here}


def _write(lines: pd.DataFrame, file: Path) -> None:
    with atomic_path(file) as path:
        lines.to_csv(path, columns=COLUMNS, index=False, lineterminator="\n")


def in_order(lines: pd.DataFrame, trials: Sequence[Trial]) -> pd.DataFrame:
    """Return the lines of some trials, in their order; others are of another budget, profile or code."""
    places = {trial.id: place for place, trial in enumerate(trials)}
    current = lines[lines["run"].isin(places.keys())]
    return current.sort_values("run", key=lambda runs: runs.map(places), ignore_index=True)


def _check_there(searched: Search) -> None:
    """Refuse to begin without the data and encoders that runs are made from."""
    missing = [(order.folder / SEAL).as_posix() for order in searched.needs() if not sound(order)]
    if missing:
        raise SuiteError(f"data or encoders are missing; make them: snakemake --cores 2 {' '.join(missing)}")


def main(argv: Sequence[str]) -> int:
    """Run the search."""
    parser = Parser("pipelines.tune", description=__doc__)
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile files")
    parser.add_argument("--budget", type=Path, default=ROOT / "config" / "tuning.yaml", help="of which table's rows")
    parser.add_argument("--results", type=Path, default=Path("results"), help="where data and encoders lie")
    parser.add_argument("--processes", type=at_least(1), default=1)
    parser.add_argument("--methods", nargs="+", default=[], help="search only these (default: all of the budget)")
    parser.add_argument("--records", type=Path, default=ROOT / "results" / "recorded" / "tuning", help="folder")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "tuning.md", help="page to show the result on")
    args = parser.parse_args(argv)
    profile, budget = load_profile(args.config), load_budget(args.budget)
    check_budget(budget, profile, args.methods)
    searched = Search(profile, budget, args.results)
    _check_there(searched)
    page = _page(args.page, budget.table)
    trials = list(searched.trials())
    chosen = [trial for trial in trials if not args.methods or trial.which.method in args.methods]
    use_reproducible_kernels()
    file = args.records / f"{profile.profile}-{budget.table}.csv"
    lines = in_order(search(chosen, read_trials(file), file, args.processes), trials)
    _write(lines, file)
    planned = Counter(trial.which.method for trial in trials)
    write_text(args.page, with_search(page, budget.table, as_markdown(lines, planned)))
    return 0


def _page(path: Path, table: str) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SuiteError(f"cannot read {path}: {error.strerror}") from error
    begin, end = markers(table)
    if not 0 <= text.find(begin) < text.find(end):
        raise SuiteError(f"{path} lacks its markers; put {begin} above the table and {end} below")
    return text


if __name__ == "__main__":
    run(main)
