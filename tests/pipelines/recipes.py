"""What a table's JSON says of the recipe of a profile's run, before anything is trained."""

from typing import Any

from emlc.judging.cells import Cell
from pipelines.evidence.cells import recipe_of
from pipelines.profile.derived import title_of
from pipelines.profile.model import Profile
from pipelines.workflow.runs import Run
from pipelines.workflow.steps import Steps

CLASSES = {"cifar10": 10, "cifar100": 100}


def told_of(profile: Profile, run: Run) -> dict[str, Any]:
    """The recipe of a run, as a record of it would tell, with what the table adds."""
    steps = Steps(profile)
    order, task = steps.run(run), steps.task_of(run).identity
    clean, further = ((task[f"{name}_per_class"] or 0) * CLASSES[run.dataset] for name in ("clean", "validation"))
    recipe = recipe_of({"config": order.identity, "task": {"clean": clean, "validation_only": further}})
    return {**recipe, "selection": profile.methods[run.method].selection or profile.tables["table1"].selection}


def run_of(profile: Profile, cell: Cell) -> Run:
    """The profile's run of a published cell."""
    titles = {title_of(profile, name): name for name in CLASSES}
    labels = {entry.label: name for name, entry in profile.methods.items()}
    return Run(labels[cell.method], titles[cell.dataset], cell.noise_type, cell.noise_rate, 0)
