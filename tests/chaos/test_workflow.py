"""Snakemake and its jobs: killed, terminated, launched twice, on a disk that is too small."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from emlc.records.record import read_record
from tests.chaos.place import TALLY
from tests.e2e.conftest import Workplace, copy_of_the_repository
from tests.tiny import TRAINING, tiny_profile

pytestmark = pytest.mark.chaos
GRACE = 60.0
"""Seconds from a scheduler's SIGTERM to its SIGKILL."""

TABLE = "results/table1.csv"
PROFILE = tiny_profile(
    seeds=[0, 1], seeds_per_job=2, checkpoint_minutes=1e-3, training={**TRAINING, "epochs": 6, "batch_size": 28}
)


class Workflow(Workplace):
    """A clone in which Snakemake runs in a process group of its own."""

    def launch(self, *arguments: str) -> subprocess.Popen:
        command = ["snakemake", "--cores", "2", *arguments, TABLE]
        environment = self.environment()
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def records(self) -> dict[Path, bytes]:
        runs = self.folder / "results" / "runs"
        return {path: path.read_bytes() for path in runs.glob("[0-9a-f]*/record.json")}

    def fingerprints(self) -> dict[str, str]:
        return {str(path.relative_to(self.folder)): read_record(path)["fingerprint"] for path in self.records()}


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """A clone whose workflow nobody disturbed, and the seconds that it took."""
    place = Workflow(copy_of_the_repository(tmp_path_factory.mktemp("calm") / "clone"))
    place.write_profile(PROFILE)
    started = time.monotonic()
    assert place.launch().wait(300) == 0, (place.folder / "log").read_text()
    place.seconds = time.monotonic() - started
    return place


@pytest.fixture
def workflow(calm, tmp_path):
    place = Workflow(tmp_path / "clone")
    left_out = shutil.ignore_patterns("results", ".snakemake", "digits.npz.lock")
    shutil.copytree(calm.folder, place.folder, ignore=left_out)
    (place.folder / "data" / "digits.npz").unlink(missing_ok=True)
    return place


def goes_on(place: Workflow, calm: Workflow, before: dict[Path, bytes]) -> None:
    """The next start makes the undisturbed table; runs that were done are not done again."""
    place.snakemake("--unlock")
    assert place.launch().wait(300) == 0, (place.folder / "log").read_text()
    table = (place.folder / TABLE).read_bytes()
    after = place.records()
    repeated = [path for path in before if after[path] != before[path]]
    TALLY.tables += 1
    TALLY.lost += len(repeated)
    TALLY.differing += table != (calm.folder / TABLE).read_bytes()
    assert table == (calm.folder / TABLE).read_bytes()
    assert place.fingerprints() == calm.fingerprints()
    assert repeated == []
    assert not (place.folder / "results" / "checkpoints").exists()


def stop_all(process: subprocess.Popen, number: int) -> None:
    os.killpg(process.pid, number)


def stop_snakemake(process: subprocess.Popen, number: int) -> None:
    process.send_signal(number)


def stop_trainings(process: subprocess.Popen, number: int) -> None:
    for child in children(process.pid):
        if b"pipelines.train" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(child, number)


def children(parent: int) -> list[int]:
    """All processes below one."""
    direct = [
        int(text) for file in Path(f"/proc/{parent}/task").glob("*/children") for text in file.read_text().split()
    ]
    return direct + [below for child in direct for below in children(child)]


def end(process: subprocess.Popen) -> None:
    """Give a workflow time to end, then kill what is left: Snakemake itself may wait for a lock that it holds."""
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        left = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children(process.pid)]
        assert not [command for command in left if b"pipelines.train" in command]
        stop_all(process, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize(
    ("stop", "number"),
    [
        (stop_all, signal.SIGKILL),
        (stop_snakemake, signal.SIGKILL),
        (stop_trainings, signal.SIGKILL),
        (stop_all, signal.SIGTERM),
        (stop_trainings, signal.SIGTERM),
    ],
)
def test_a_workflow_stopped_at_a_random_moment(stop, number, workflow, calm):
    coin = random.Random(f"{stop.__name__}{number}")
    process = workflow.launch()
    try:
        process.wait(coin.uniform(0.2, 0.95) * calm.seconds)
    except subprocess.TimeoutExpired:
        TALLY.kills += number == signal.SIGKILL
        stop(process, number)
        end(process)
    goes_on(workflow, calm, workflow.records())


def test_a_second_launch_is_told_of_the_lock(workflow, calm):
    first = workflow.launch()
    while not list((workflow.folder / ".snakemake" / "locks").glob("*")):
        time.sleep(0.1)
    second = workflow.snakemake(TABLE, check=False)
    assert second.returncode == 1
    told = second.stdout + second.stderr
    assert "LockException" in told
    assert "--unlock" in told
    assert "Traceback" not in told
    assert first.wait(300) == 0
    assert (workflow.folder / TABLE).read_bytes() == (calm.folder / TABLE).read_bytes()


def test_a_plan_that_does_not_fit_on_the_disk_does_not_start(workflow):
    workflow.write_profile({**PROFILE, "training": {**PROFILE["training"], "epochs": 10**12}})
    done = workflow.snakemake(TABLE, check=False)
    assert done.returncode == 1
    told = done.stdout + done.stderr
    assert "GB free, but the plan needs" in told
    assert "Traceback" not in told
    assert not list((workflow.folder / "results").rglob("*.npz"))
