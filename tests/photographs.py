"""Profiles of photographs that stay on disk, and their jobs up to the tasks."""

from pathlib import Path
from typing import Any

import numpy as np

from emlc.data.key_lists import read_key_lists
from emlc.records.store import Order, filling
from pipelines.inject import make as make_task
from pipelines.prepare import make as make_data
from pipelines.profile.load import checked
from pipelines.workflow.jobs import Jobs
from pipelines.workflow.runs import all_runs
from tests.tiny import TRAINING, tiny_profile

DATA = {
    "crop_padding": 0,
    "auto_augment": "imagenet",
    "model": {"name": "resnet18-imagenet", "width": 4},
}
WAY = {"preprocessing": "cropped", "side": 20, "size": 16}


def clothing1m_profile(copy: Path, **changes: Any) -> dict[str, Any]:
    """A profile of a copy of Clothing1M; the rate is the copy's own if it is there."""
    data = {"kind": "clothing1m", "options": {"source": str(copy), **WAY}, **DATA, **changes.pop("data", {})}
    column = {"dataset": "clothing1m", "noise": "real", "rate": rate_of(copy) if copy.exists() else 0.385}
    training = {**TRAINING, "epochs": 2, "batch_size": 16}
    tables = {"table2": {"title": "Table 2", "columns": [column]}}
    return tiny_profile(datasets={"clothing1m": data}, tables=tables, training=training, **changes)


def rate_of(copy: Path) -> float:
    confusion = read_key_lists(copy).confusion
    return round(float(1 - np.trace(confusion) / confusion.sum()), 3)


def prepared_jobs(folder: Path, profile: dict[str, Any]) -> Jobs:
    """The jobs of a profile, its data listed and its tasks made."""
    jobs = Jobs(checked(profile), folder / "results")
    for kind, make in (("data", make_data), ("tasks", make_task)):
        for job in jobs.by_kind[kind].values():
            with filling(job.order) as part:
                make(job.order, part)
    return jobs


def first_run(jobs: Jobs, method: str = "cross-entropy") -> Order:
    """The order of a method's first run."""
    return jobs.steps.run(next(run for run in all_runs(jobs.profile) if run.method == method))
