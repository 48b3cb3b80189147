"""The cluster, the table that one machine makes, and clones that submit to the cluster."""

import contextlib
import importlib.util
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from emlc.records.record import read_record
from tests.cluster import halting
from tests.cluster.daemons import WITH_US, missing, output_of, running_cluster, wait_for
from tests.e2e.conftest import Workplace, copy_of_the_repository, tiny_profile

TABLE = "results/table1.csv"
TOLD: list[str] = []


class Job(NamedTuple):
    """A job of SLURM, or one start of it if it was started again."""

    id: str
    state: str
    node: str
    gpus: int


class Home(NamedTuple):
    """The table as one machine makes it, and how long that takes here."""

    table: bytes
    seconds: float


class Submitter(Workplace):
    """A clone whose trainings are jobs of the cluster: ``profiles/slurm`` with its two lines changed."""

    def __init__(self, folder: Path, partition: str = "normal") -> None:
        super().__init__(folder)
        profile = folder / "profiles" / "slurm" / "config.yaml"
        text = re.sub(r"(slurm_account:).*", r"\1 lab", profile.read_text())
        profile.write_text(re.sub(r"(slurm_partition:).*", rf"\1 {partition}", text))

    def launch(self, *arguments: str) -> None:
        """Start the workflow."""
        self.started = time.time()
        command = [*WITH_US, "KILL", "snakemake", "--profile", "profiles/slurm", *arguments, "--", TABLE]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment(), stdout=log, stderr=log, start_new_session=True
            )

    @property
    def log(self) -> Path:
        """What the workflow prints."""
        return self.folder / "log"

    def finish(self, name: str) -> None:
        """Wait for the workflow's end and say what it took."""
        status = self.process.wait(900)
        seconds = self.log.stat().st_mtime - self.started  # it may have ended before anybody waited for it
        TOLD.append(f"{name}: {seconds:.0f} s, {len(self.jobs())} jobs")
        assert status == 0, self.log.read_text()

    def halted(self) -> Job:
        """Wait until one training waits (:mod:`tests.cluster.halting`) and all others are done; return its job."""
        file = self.folder / halting.WAITING
        wait_for(file.exists, "the training to halt", self.log.read_text, 600)
        wait_for(lambda: self.count("COMPLETED") >= 1, "the other training", self.log.read_text, 600)
        return next(job for job in self.jobs() if job.id == file.read_text())

    def count(self, state: str) -> int:
        """How many jobs are in a state."""
        return sum(job.state == state for job in self.jobs())

    def jobs(self) -> list[Job]:
        """The jobs that it submitted, every start of one by itself."""
        fields = "JobIDRaw,State,NodeList,WorkDir,ReqTRES"
        told = output_of("sacct", "-X", "-n", "-P", "--duplicates", "-o", fields).splitlines()
        rows = [line.split("|") for line in told]
        mine = [row for row in rows if row[3] == str(self.folder)]
        return [Job(job, state.split()[0], node, int("gres/gpu=1" in asked)) for job, state, node, _, asked in mine]

    def runs(self) -> dict[Path, bytes]:
        """The records, as they are."""
        runs = self.folder / "results" / "runs"
        return {path.relative_to(self.folder): path.read_bytes() for path in runs.glob("[0-9a-f]*/record.json")}

    def begun(self) -> int:
        """How often a run of the method that halts began at its beginning."""
        return len((self.folder / halting.BEGUN).read_text().splitlines())

    def resumed(self) -> list[int]:
        """How often each run went on from a checkpoint, least first."""
        return sorted(read_record(self.folder / path)["timing"]["resumed"] for path in self.runs())


def small_profile() -> dict:
    """Two methods, two seeds, two epochs, one column; a GPU for each training, on which, being none, it finds a CPU."""
    profile = tiny_profile()
    profile["device"] = "cpu" if torch.cuda.is_available() else "auto"
    profile["checkpoint_minutes"] = 1e-4
    profile["methods"] = {name: profile["methods"][name] for name in ("cross-entropy", "emlc-k5")}
    profile["methods"]["emlc-k5"]["implementation"] = "baselines.halting"
    return profile


def clone(folder: Path) -> Path:
    """Return a copy of the repository with the method that halts and the profile that has it."""
    copy_of_the_repository(folder)
    shutil.copy(halting.__file__, folder / "baselines" / "halting.py")
    Workplace(folder).write_profile(small_profile())
    return folder


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        pytest.skip("not installed: snakemake-executor-plugin-slurm (pip install -e '.[slurm]')")
    if reason := missing():
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:
        try:
            daemons = stack.enter_context(running_cluster(tmp_path_factory.mktemp("slurm")))
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:  # of a container that forbids devices, say
            pytest.skip(f"SLURM is installed but does not start here: {str(error).splitlines()[0]}")
        yield daemons


@pytest.fixture(scope="session")
def at_home(cluster, tmp_path_factory):
    """The table as one machine makes it, without the cluster."""
    place = Workplace(clone(tmp_path_factory.mktemp("home") / "clone"))
    started = time.monotonic()
    place.snakemake(TABLE)
    seconds = time.monotonic() - started
    TOLD.append(f"one machine: {seconds:.0f} s")
    return Home((place.folder / TABLE).read_bytes(), seconds)


def pytest_terminal_summary(terminalreporter):
    for line in TOLD:
        terminalreporter.write_line(f"cluster: {line}")
