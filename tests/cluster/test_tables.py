"""Whatever happens to its jobs, a cluster makes the table that one machine makes, byte for byte."""

import re
import subprocess
from collections.abc import Callable
from typing import NamedTuple

import psutil
import pytest

from tests.cluster import halting
from tests.cluster.conftest import TABLE, Job, Submitter, clone
from tests.cluster.daemons import Daemons, output_of

pytestmark = pytest.mark.slow

STEPS = 20
"""Of a run: two epochs of fifty batches, five at a time."""


def test_undisturbed(at_home, tmp_path):
    place = Submitter(clone(tmp_path / "clone"))
    place.launch()
    place.finish("undisturbed")
    assert (place.folder / TABLE).read_bytes() == at_home
    assert [job.state for job in place.jobs()] == ["COMPLETED"] * 2
    assert place.resumed() == [0] * 4
    told = place.log.read_text()
    assert not re.search("warning|error|deprecat", told, re.IGNORECASE), told
    assert {rule for rule in re.findall(r"^rule (\w+):", told, re.MULTILINE)} == {"train"}


class Disaster(NamedTuple):
    """What happens to the job of a training while it waits, after so many steps of each of its processes."""

    partition: str
    halts: tuple[int, ...]
    strike: Callable[[Job, Daemons], None]
    states: tuple[str, ...]
    arguments: tuple[str, ...] = ()


def cancel(job: Job, daemons: Daemons) -> None:
    subprocess.run(["scancel", job.id], check=True)


def preempt(job: Job, daemons: Daemons) -> None:
    """A job that wants the whole node comes in by the partition that may preempt."""
    urgent = ["sbatch", "-A", "lab", "-p", "urgent", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1"]
    subprocess.run(urgent, check=True, capture_output=True)


def cut_power(job: Job, daemons: Daemons) -> None:
    """The node's daemon and all that it runs are gone at once."""
    daemons.kill(job.node)
    steps = [each for each in psutil.process_iter() if re.match(rf"slurmstepd: \[{job.id}\.", " ".join(each.cmdline()))]
    for each in [*steps, *(child for step in steps for child in step.children(recursive=True))]:
        each.kill()


def nothing(job: Job, daemons: Daemons) -> None:
    """The wall time is enough."""


SHORT = ("--set-resources", "train:runtime=1", "train:slurm_extra='--signal=TERM@10'")
DISASTERS = {
    "wall time too short": Disaster("normal", (STEPS + 7, 5), nothing, ("COMPLETED", "FAILED", "FAILED"), SHORT),
    "job cancelled": Disaster("normal", (STEPS + 7,), cancel, ("CANCELLED", "COMPLETED")),
    "node dead": Disaster("frail", (STEPS + 7,), cut_power, ("COMPLETED", "NODE_FAIL")),
    "job preempted": Disaster("spare", (STEPS + 7,), preempt, ("COMPLETED", "FAILED")),
}


@pytest.fixture(scope="module")
def submitted(at_home, tmp_path_factory):
    """A clone for each disaster, all submitted at once: most of their time is waiting."""
    places = {}
    for name, disaster in DISASTERS.items():
        folder = clone(tmp_path_factory.mktemp("disaster") / "clone")
        (folder / halting.HALTS).write_text("\n".join(map(str, disaster.halts)))
        places[name] = Submitter(folder, disaster.partition)
        places[name].launch(*disaster.arguments)
    return places


@pytest.mark.parametrize("name", DISASTERS)
def test_same_table_and_no_run_trained_twice(name, submitted, at_home, cluster):
    place, disaster = submitted[name], DISASTERS[name]
    job, done = place.halted(), place.runs()
    disaster.strike(job, cluster)
    place.finish(name)
    assert (place.folder / TABLE).read_bytes() == at_home
    assert sorted(job.state for job in place.jobs()) == sorted(("COMPLETED", *disaster.states))
    # The run at hand went on, every time; the others were not touched.
    assert place.resumed() == [0, 0, 0, len(disaster.halts)]
    assert {path: place.runs()[path] for path in done} == done
