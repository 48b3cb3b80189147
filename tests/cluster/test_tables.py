"""Whatever happens to its jobs, a cluster makes the table that one machine makes, byte for byte."""

import contextlib
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.cluster import halting
from tests.cluster.conftest import TABLE, Job, Submitter, clone, small_profile
from tests.cluster.daemons import Daemons

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cluster")]

STEPS = 20
"""Of a run: two epochs of fifty batches, five at a time."""


def test_undisturbed(at_home, tmp_path):
    place = Submitter(clone(tmp_path / "clone"))
    place.launch()
    place.finish("undisturbed")
    assert (place.folder / TABLE).read_bytes() == at_home.table
    assert [job.state for job in place.jobs()] == ["COMPLETED"] * 2
    assert [job.gpus for job in place.jobs()] == [int(small_profile()["device"] == "auto")] * 2
    assert place.resumed() == [0] * 4
    told = place.log.read_text()
    assert not re.search("warning|error|deprecat", told, re.IGNORECASE), told
    assert set(re.findall(r"^rule (\w+):", told, re.MULTILINE)) == {"train"}


class Disaster(NamedTuple):
    """What happens to the job of a training while it waits, after so many steps of each process, and how it may end."""

    partition: str
    halts: tuple[int, ...]
    strike: Callable[[Job, Daemons], None]
    ends: tuple[str, ...]
    minutes: int | None = None


def cancel(job: Job, daemons: Daemons) -> None:
    subprocess.run(["scancel", job.id], check=True)


def preempt(job: Job, daemons: Daemons) -> None:
    """A job that wants the whole node comes in by the partition that may preempt."""
    urgent = ["sbatch", "-A", "lab", "-p", "urgent", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1"]
    subprocess.run(urgent, check=True, capture_output=True)


def cut_power(job: Job, daemons: Daemons) -> None:
    """The node's daemon and all that it runs are gone at once."""
    daemons.kill(job.node)
    for process in psutil.process_iter(["cmdline"]):
        if re.match(rf"slurmstepd: \[{job.id}\.", " ".join(process.info["cmdline"] or ())):
            for each in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()


def nothing(job: Job, daemons: Daemons) -> None:
    """The wall time is enough."""


DISASTERS = {
    "job cancelled": Disaster("normal", (STEPS + 7,), cancel, ("CANCELLED",)),
    "node dead": Disaster("frail", (STEPS + 7,), cut_power, ("NODE_FAIL",)),
    "job preempted": Disaster("spare", (STEPS + 7,), preempt, ("FAILED", "PREEMPTED")),
    "wall time too short": Disaster("normal", (STEPS + 7, 5), nothing, ("FAILED", "TIMEOUT"), minutes=1),
}


class Struck(NamedTuple):
    """A clone to one of whose jobs something happened, and the records that it had before."""

    place: Submitter
    done: dict[Path, bytes]


@pytest.fixture(scope="module")
def struck(at_home, cluster, tmp_path_factory):
    """A clone for each disaster, all submitted and then struck, one after the other: most of their time is waiting."""
    places = {name: submitted(tmp_path_factory.mktemp("disaster"), name, at_home.seconds) for name in DISASTERS}
    try:
        yield {name: strike(DISASTERS[name], place, cluster) for name, place in places.items()}
    finally:
        for place in places.values():
            place.process.kill()


def strike(disaster: Disaster, place: Submitter, daemons: Daemons) -> Struck:
    job, done = place.halted(), place.runs()
    disaster.strike(job, daemons)
    return Struck(place, done)


def submitted(folder: Path, name: str, seconds_at_home: float) -> Submitter:
    disaster = DISASTERS[name]
    place = Submitter(clone(folder / "clone"), disaster.partition)
    (place.folder / halting.HALTS).write_text("\n".join(map(str, disaster.halts)))
    place.launch(*limit(disaster.minutes, seconds_at_home))
    return place


def limit(minutes: int | None, seconds_at_home: float) -> tuple[str, ...]:
    """Return the arguments for a wall time, longer where so little as starting takes long."""
    if minutes is None:
        return ()
    runtime = minutes + int(seconds_at_home // 40)
    return ("--set-resources", f"train:runtime={runtime}", "train:slurm_extra='--signal=TERM@10'")


@pytest.mark.chaos
@pytest.mark.parametrize("name", DISASTERS)
def test_same_table_and_no_run_trained_twice(name, struck, at_home):
    (place, done), disaster = struck[name], DISASTERS[name]
    place.finish(name)
    assert (place.folder / TABLE).read_bytes() == at_home.table
    assert place.count("COMPLETED") == 2
    # Where starting takes long, a wall time ends more jobs than those that wait for it.
    further = sum(map(place.count, disaster.ends)) - len(disaster.halts)
    assert further >= 0
    assert place.begun() == 2
    *others, struck_run = place.resumed()
    assert sum(others) <= further
    assert struck_run >= len(disaster.halts)
    assert {path: place.runs()[path] for path in done} == done
