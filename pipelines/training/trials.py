"""The runs of a search for hyper-parameters: a setting of a method, scored on images that it does not see."""

import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from emlc.data.store import load_arrays
from emlc.records.errors import DivergenceError
from emlc.records.store import Order, identifier
from emlc.tasks.task import Task
from pipelines.machine.devices import open_device
from pipelines.profile.budget import Budget, Candidate
from pipelines.profile.model import MethodChange, MethodEntry, OnDataset, Profile, laid_over, said
from pipelines.training.draws import draw_task, noise_file
from pipelines.workflow.runs import Run
from pipelines.workflow.steps import Steps

LAST_EPOCHS = 5
CHANCE = 0.0
"""Score of a run that diverged."""


class Trial(NamedTuple):
    """One run of the search.

    Attributes
    ----------
    which : Run
    candidate : str
        The setting, in the words of the budget.
    shared : bool
        Whether its training is that of all methods.
    run, task : Order
        The run, and the task whose clean set is cut in two.
    clean_per_class : int
        Images of each class that it trains on; the others of the clean set score it.
    """

    which: Run
    candidate: str
    shared: bool
    run: Order
    task: Order
    clean_per_class: int

    @property
    def id(self) -> str:
        """What identifies it: equal ids have equal scores."""
        return identifier("trials", {**self.run.identity, "clean_per_class": self.clean_per_class})


class Search(NamedTuple):
    """A profile and its budget.

    Attributes
    ----------
    profile : Profile
    budget : Budget
    results : Path
        Where its data and encoders lie.
    """

    profile: Profile
    budget: Budget
    results: Path

    def trials(self) -> Iterator[Trial]:
        """Yield every run: methods x settings x columns x seeds."""
        for method, candidates in self.budget.candidates.items():
            for candidate in candidates:
                yield from self._of(method, candidate)

    def _of(self, method: str, candidate: Candidate) -> Iterator[Trial]:
        steps = Steps(self._changed(method, candidate), self.results)
        name = yaml.safe_dump(said(candidate), default_flow_style=True, width=1000).strip()
        for column in self.budget.columns:
            shared = steps.recipe(method, column.dataset)["training"] == said(self.profile.training)
            clean = self.profile.data(method, column.dataset).clean_per_class
            for seed in self.budget.seeds:
                which = Run(method, column.dataset, column.noise, column.rate, seed)
                yield Trial(which, name, shared, steps.run(which), steps.task_of(which), clean)

    def _changed(self, method: str, candidate: Candidate) -> Profile:
        """Return the profile with a candidate in a method's place, and clean sets with the held-out images."""
        more = self.budget.held_out_per_class
        searched = dict.fromkeys(column.dataset for column in self.budget.columns)
        sizes = {name: self.profile.data(method, name).clean_per_class + more for name in searched}
        larger = {name: OnDataset(clean_per_class=size) for name, size in sizes.items()}
        entry = laid_over(_with(self.profile.methods[method], candidate), MethodChange(datasets=larger))
        return self.profile.model_copy(update={"methods": {**self.profile.methods, method: entry}})

    def needs(self) -> list[Order]:
        """Return the data and encoders that the runs are made from."""
        steps = Steps(self.profile, self.results)
        runs = [
            Run(method, column.dataset, column.noise, column.rate, seed)
            for method in self.budget.candidates
            for column in self.budget.columns
            for seed in self.budget.seeds[:1]
        ]
        found = [order for run in runs for order in (steps.data(run.dataset), steps.encoder_of(run))]
        return list({order.id: order for order in found if order is not None}.values())


def _with(entry: MethodEntry, candidate: Candidate) -> MethodEntry:
    training = entry.training.model_copy(update=said(candidate.training))
    return entry.model_copy(update={"options": {**entry.options, **candidate.options}, "training": training})


def hold_out(task: Task, clean_per_class: int) -> Task:
    """Return a task whose clean set is cut in two: so many of each class to train on, the others to validate on.

    Parameters
    ----------
    task : Task
        With more than `clean_per_class` clean images of every class, in the order in which they were drawn.
    clean_per_class : int
    """
    rank_in_class = np.empty(len(task.clean_labels), dtype=np.int64)
    for label in np.unique(task.clean_labels):
        members = np.flatnonzero(task.clean_labels == label)
        rank_in_class[members] = np.arange(len(members))
    out = rank_in_class >= clean_per_class
    return replace(
        task,
        clean_indices=task.clean_indices[~out],
        clean_labels=task.clean_labels[~out],
        validation_indices=task.clean_indices[out],
        validation_labels=task.clean_labels[out],
    )


def score(trial: Trial) -> float:
    """Train one trial and return its accuracy (%) on the held-out images, the mean of the last epochs."""
    from emlc.engine.run import run as train_recipe
    from pipelines.training.runs import build_recipe, encoder_of

    identity = trial.run.identity
    arrays, checksum = load_arrays(trial.run.beside("data", identity["data"]) / "arrays.npz")
    task = hold_out(draw_task(trial.task.identity, arrays, checksum, noise_file(trial.task)), trial.clean_per_class)
    device = open_device(identity["device"], identity["threads"])
    try:
        history = train_recipe(build_recipe(identity, encoder_of(trial.run)), task, arrays, device)
    except DivergenceError:
        return CHANCE
    return statistics.fmean(row["validation_accuracy"] for row in history.epochs[-LAST_EPOCHS:])
