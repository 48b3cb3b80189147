"""What figures and ablations are made of: which runs, beyond those of the table, and which of them are probed."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from emlc.records.errors import SuiteError
from emlc.records.record import COMPLETED
from pipelines.aggregate import NOT_RUN, summaries
from pipelines.profile.settings import Run, Settings

GRADIENT_SEEDS = (0,)
"""Seeds of the ablations' gradient norms, unless the profile says others."""


def cell_runs(column: Mapping[str, Any], methods: Iterable[str], seeds: Sequence[int]) -> list[Run]:
    """Return methods x seeds in one column of the profile."""
    where = column["dataset"], column["noise"], column["rate"]
    return [Run(method, *where, seed) for method in methods for seed in seeds]


def figure_runs(settings: Settings, name: str) -> list[Run]:
    """Return the runs that a figure shows, none if the profile has no such figure."""
    figure = settings.get("figures", {}).get(name)
    return cell_runs(figure["column"], figure["methods"], figure["seeds"]) if figure else []


def ablation_methods(settings: Settings) -> list[str]:
    """Return every method and variant of the ablations, each once."""
    questions = settings.get("ablations", {}).get("questions", [])
    return list(dict.fromkeys(name for q in questions for name in (q["reference"], *q["variants"])))


def ablation_runs(settings: Settings) -> list[Run]:
    """Return the runs of the ablations."""
    ablations = settings.get("ablations")
    return cell_runs(ablations["column"], ablation_methods(settings), ablations["seeds"]) if ablations else []


def gradient_runs(settings: Settings) -> list[Run]:
    """Return the probed runs that tell how large the teacher's gradients are."""
    ablations = settings.get("ablations", {})
    if "gradients" not in ablations:
        return []
    seeds = ablations.get("gradient_seeds", GRADIENT_SEEDS)
    return cell_runs(ablations["column"], ablations["gradients"], seeds)


def completed(settings: Settings, wanted: Sequence[Run], folder: Path) -> list[Run]:
    """Return the runs that completed.

    Raises
    ------
    SuiteError
        If a run has no record, or not one of the profile.
    """
    found = summaries(settings, wanted, folder)
    for item in found:
        if item["status"] == NOT_RUN:
            raise SuiteError(f"there is no record of {item['run'].folder} in {folder}; train it (pipelines.train)")
    return [item["run"] for item in found if item["status"] == COMPLETED]
