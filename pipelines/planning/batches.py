"""How many jobs of a cluster the trainings of a profile's tables are, and how long the longest of them is."""

from collections.abc import Callable, Sequence

from emlc.records.store import Order, sound
from pipelines.train import runs_of
from pipelines.workflow.jobs import Jobs
from pipelines.workflow.runs import table_runs


def batches(jobs: Jobs) -> list[list[Order]]:
    """Return the runs of the tables that are to be trained, by the job that trains them."""
    wanted = [run for table in jobs.profile.tables for run in table_runs(jobs.profile, table)]
    to_do = ([order for order in runs_of(cell) if not sound(order)] for cell in jobs.cells.of(wanted))
    return [runs for runs in to_do if runs]


def as_line(found: Sequence[Sequence[Order]], seconds: Callable[[Order], float | None]) -> str:
    """Say in one line how many jobs there are and how long the longest is.

    Parameters
    ----------
    found : sequence of sequence of Order
        :func:`batches`.
    seconds : callable
        How long a run takes; None if nothing tells.
    """
    if not found:
        return "No training is left to do."
    runs, most = sum(map(len, found)), max(map(len, found))
    taken = [[seconds(run) for run in job] for job in found]
    known = [sum(job) for job in taken if None not in job]
    longest = f"the longest of {max(known) / 3600:.2f} hours" if len(known) == len(found) else "of unknown length"
    return f"Trainings: {runs} runs in {len(found)} jobs of up to {most} (seeds_per_job, cells_per_job), {longest}."
