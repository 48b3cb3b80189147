"""Score each method's few candidate settings by cross-validation on the clean set; the test images play no part.

The clean set is cut into class-balanced folds. A run trains with all of them but one; its accuracy on that one,
averaged over the last epochs, is the score. The winners go into the profile by hand: a profile is meant to be read.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml
from tqdm import tqdm

from emlc.data import open_dataset
from emlc.data.store import load_arrays
from emlc.records.artefacts import write_text
from emlc.records.errors import DivergenceError, SuiteError
from emlc.tasks.draw import Task
from pipelines.inject import draw_task
from pipelines.machine.cli import Parser, at_least, run
from pipelines.machine.devices import open_device, use_reproducible_kernels
from pipelines.profile.load import load_settings, validated
from pipelines.profile.mappings import read_yaml
from pipelines.profile.settings import DEFAULT_PROFILE, ROOT, Run, Settings, dataset_options, run_spec

LAST_EPOCHS = 5
CHANCE = 0.0
"""Score of a run that diverged."""


class Trial(NamedTuple):
    """One run of the search."""

    settings: Settings
    run: Run
    candidate: str
    fold: int
    folds: int
    data: Path


def hold_out(task: Task, fold: int, folds: int) -> Task:
    """Return `task` with one class-balanced part of its clean set held out for validation.

    Parameters
    ----------
    task : Task
        With at least `folds` clean images of every class.
    fold : int
        From 0 to `folds` - 1.
    folds : int
    """
    rank_in_class = np.empty(len(task.clean_labels), dtype=np.int64)
    for label in np.unique(task.clean_labels):
        members = np.flatnonzero(task.clean_labels == label)
        rank_in_class[members] = np.arange(len(members))
    out = rank_in_class % folds == fold
    return replace(
        task,
        clean_indices=task.clean_indices[~out],
        clean_labels=task.clean_labels[~out],
        validation_indices=task.clean_indices[out],
        validation_labels=task.clean_labels[out],
    )


def trials(settings: Settings, budget: Mapping[str, Any], data: Path) -> Iterator[Trial]:
    """Yield every run of the search."""
    for method, candidates in budget["candidates"].items():
        for candidate in candidates:
            changed = _with(settings, method, candidate)
            name = yaml.safe_dump(candidate, default_flow_style=True).strip()
            for column in budget["columns"]:
                for seed in budget["seeds"]:
                    which = Run(method, column["dataset"], column["noise"], column["rate"], seed)
                    yield from (Trial(changed, which, name, f, budget["folds"], data) for f in range(budget["folds"]))


def restricted(settings: Settings, budget: Mapping[str, Any], methods: Sequence[str] | None) -> dict[str, Any]:
    """Return a budget with the candidates of some methods only, or of all if none are named.

    Raises
    ------
    SuiteError
        If a method is not of the budget or not of the profile.
    """
    candidates = budget["candidates"]
    for name in methods or candidates:
        for place, known in (("budget", candidates), ("profile", settings["methods"])):
            if name not in known:
                raise SuiteError(f"unknown method {name!r}; the {place} has: {', '.join(known)}")
    return {**budget, "candidates": {name: candidates[name] for name in candidates if name in (methods or candidates)}}


def _with(settings: Settings, method: str, candidate: Mapping[str, Any]) -> Settings:
    entry = dict(settings["methods"][method])
    for key, values in candidate.items():
        entry[key] = {**entry.get(key, {}), **values}
    return validated({**settings, "methods": {**settings["methods"], method: entry}})


def score(trial: Trial) -> float:
    """Train one trial and return its accuracy (%) on the held-out clean images."""
    from emlc.engine.run import run as train_recipe
    from pipelines.experiment import build_recipe

    spec = run_spec(trial.settings, trial.run)
    arrays, checksum = load_arrays(trial.data)
    task = hold_out(draw_task(trial.settings, arrays, checksum, trial.run), trial.fold, trial.folds)
    dataset = open_dataset(trial.run.dataset, dataset_options(trial.settings, trial.run.dataset))
    recipe = build_recipe(spec, dataset, trial.run.seed)
    try:
        history = train_recipe(recipe, task, arrays, open_device(spec["device"], spec["threads"]))
    except DivergenceError:
        return CHANCE
    return statistics.fmean(row["validation_accuracy"] for row in history.epochs[-LAST_EPOCHS:])


def summarise(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return mean and standard error (%) of every candidate; one of each method, the best, is marked.

    Of equally good ones it is that with the training all methods share, or else the first of the budget.

    Parameters
    ----------
    rows : sequence of mapping
        One per run: `method`, `candidate`, `shared` (whether its training is that of all methods) and `score` (%).
    """
    groups = pd.DataFrame(rows).groupby(["method", "candidate", "shared"], sort=False)["score"]
    table = groups.agg(score="mean", standard_error="sem", runs="size").round(2).reset_index()
    ranked = table.sort_values("shared", ascending=False, kind="stable")
    ranked = ranked.sort_values("score", ascending=False, kind="stable")
    best = ranked.drop_duplicates("method").index
    table["chosen"] = np.where(table.index.isin(best), "yes", "")
    return table.drop(columns="shared")


def _trains_as_all_methods(trial: Trial) -> bool:
    return run_spec(trial.settings, trial.run)["training"] == trial.settings["training"]


def main(argv: Sequence[str]) -> int:
    """Run the search."""
    parser = Parser("pipelines.tune", description=__doc__)
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile files")
    parser.add_argument("--budget", type=Path, default=ROOT / "config" / "tuning.yaml")
    parser.add_argument("--data", type=Path, required=True, help="prepared arrays (pipelines.prepare)")
    parser.add_argument("--processes", type=at_least(1), default=1)
    parser.add_argument("--methods", nargs="+", help="only these (default: all of the budget)")
    parser.add_argument("--out", type=Path, required=True, help="Markdown table to write")
    args = parser.parse_args(argv)
    settings, budget = load_settings(args.config), read_yaml(args.budget)
    searched = list(trials(settings, restricted(settings, budget, args.methods), args.data))
    use_reproducible_kernels()
    with ProcessPoolExecutor(args.processes) as pool:
        scores = list(tqdm(pool.map(score, searched), total=len(searched), unit="run", disable=None))
    rows = [
        {
            "method": trial.run.method,
            "candidate": trial.candidate,
            "shared": _trains_as_all_methods(trial),
            "score": value,
        }
        for trial, value in zip(searched, scores, strict=True)
    ]
    write_text(args.out, summarise(rows).to_markdown(index=False) + "\n")
    return 0


if __name__ == "__main__":
    run(main)
