"""The training step under torchrun: one record, one line when a process is lost, and the run goes on."""

import csv
import os
import subprocess
import sys

import pytest

from emlc.records.errors import SuiteError
from emlc.records.record import read_record
from pipelines import train
from pipelines.profile.places import ROOT
from tests.stores import run_at, tiny_jobs, write_order

METHOD = {"label": "EMLC", "implementation": "emlc.method", "options": {"corruption": "random"}}
TRAINING = {"batch_size": 12, "lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4}
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def shared_jobs(folder, **training):
    """Jobs of a run of ten steps that two processes are to share, with a checkpoint after each."""
    method = METHOD | {"training": {"processes": 2, "epochs": 2, **training}}
    return tiny_jobs(folder, methods={"emlc": method}, checkpoint_minutes=1e-6)


def document(jobs):
    return str(write_order(jobs.cells.by_run[run_at(jobs, "emlc").id]))


def start(jobs, *program):
    """The status of two processes and the lines that are not torchrun's own."""
    done = subprocess.run(
        [*TORCHRUN, *(program or ("-m", "pipelines.train")), document(jobs)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    return done.returncode, done.stderr


def outcome(jobs):
    folder = run_at(jobs, "emlc").folder
    with (folder / "steps.csv").open(newline="") as file:
        steps = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return read_record(folder / "record.json"), steps


def same(jobs, alone):
    (record, steps), (twin, alone_steps) = outcome(jobs), alone
    assert record["config"] == twin["config"]
    assert steps == [pytest.approx(row, rel=1e-3, abs=1e-5) for row in alone_steps]
    return record


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The same order by one process, which synchronised statistics allow."""
    jobs = shared_jobs(tmp_path_factory.mktemp("alone"))
    assert train.main([document(jobs)]) == 0
    return outcome(jobs)


def test_two_processes_write_the_record_of_one_and_go_on_when_one_was_killed(tmp_path, alone):
    jobs = shared_jobs(tmp_path)
    status, told = start(jobs, "-m", "tests.pipelines.dying", "SIGKILL", "15")
    assert status != 0
    assert "process 0: another one has ended; the next start goes on from the checkpoint\n" in told
    assert "pipelines/train" not in told, told  # no traceback of ours
    assert not (run_at(jobs, "emlc").folder / "record.json").exists()
    status, told = start(jobs, "-m", "tests.pipelines.dying", "SIGTERM", "5")
    assert status != 0
    assert told.count("SIGTERM: stopped as asked; the next start goes on from ") == 1
    assert start(jobs)[0] == 0
    record = same(jobs, alone)
    assert (record["timing"]["processes"], record["timing"]["resumed"]) == (2, 2)


def test_local_statistics_are_another_training_by_one_process(tmp_path):
    jobs = shared_jobs(tmp_path, batch_norm="local")
    with pytest.raises(SuiteError, match=r"^1 processes for a training of 2; use torchrun --nproc-per-node 2"):
        train.main([document(jobs)])
    assert not (jobs.results / "runs").exists()
