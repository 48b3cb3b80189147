"""Human labels as noise, step by step: prepared once, injected for every seed, planned, and refused where they miss."""

import numpy as np
import pytest

from emlc.data.human import load_human_labels
from emlc.data.store import load_arrays
from emlc.records.errors import SuiteError
from emlc.tasks.draw import load_task
from pipelines import human, inject, prepare
from pipelines.machine.work import fulfil
from pipelines.planning.plan import Times, plan
from pipelines.profile.load import checked, load_profile
from pipelines.profile.places import ROOT
from pipelines.workflow.jobs import Jobs
from pipelines.workflow.runs import table_runs
from tests.fixtures import write_cifar_archive, write_human_labels, write_pointer
from tests.tiny import tiny_profile

COLUMN = {"dataset": "digits", "noise": "human-worst", "rate": 0.4}


@pytest.fixture
def jobs(tmp_path):
    """A profile on a small archive with human labels, 40 % of them wrong; its arrays are prepared."""
    archive, labels = tmp_path / "cifar.tar.gz", tmp_path / "human.pt"
    write_cifar_archive(archive, images_per_class=5)
    labels.write_bytes(b"not yet")
    write_pointer(tmp_path / "human.dvc", labels)
    facts = {"kind": "cifar10", "options": {"source": str(archive)}, "human_labels": str(tmp_path / "human.dvc")}
    digits = tiny_profile()["datasets"]["digits"] | facts
    tables = {"table1": {"title": "Human", "columns": [COLUMN]}}
    profile = checked(tiny_profile(tables=tables, seeds=[0, 1], datasets={"digits": digits}))
    data = Jobs(profile, tmp_path / "results").steps.data("digits")
    fulfil(data, prepare.make)
    true = load_arrays(data.folder / "arrays.npz")[0].train_labels
    write_human_labels(labels, true, {"worse_label": 0.4})
    write_pointer(tmp_path / "human.dvc", labels)
    return Jobs(profile, tmp_path / "results")


def test_every_seed_has_the_same_labels_and_another_clean_set(jobs):
    order = jobs.steps.labels("digits")
    fulfil(order, human.make)
    labels = load_human_labels(order.folder / "labels.npz")
    tasks = []
    for run in table_runs(jobs.profile, "table1")[:2]:
        fulfil(jobs.steps.task_of(run), inject.make)
        tasks.append(load_task(jobs.steps.task_of(run).folder / "task.npz"))
    for task in tasks:
        assert (task.kind, task.rate, task.sampling) == ("human-worst", 0.4, "given")
        np.testing.assert_array_equal(task.noisy_labels, labels.labels[0][task.noisy_indices])
    assert tasks[0].clean_indices.tolist() != tasks[1].clean_indices.tolist()
    np.testing.assert_array_equal(tasks[0].matrix, tasks[1].matrix)


def test_a_task_without_the_labels_is_refused(jobs):
    order = jobs.steps.task_of(table_runs(jobs.profile, "table1")[0])
    with pytest.raises(SuiteError, match="is not there, or not whole"):
        fulfil(order, inject.make)
    assert not order.folder.exists()


def test_other_bytes_than_the_pinned_ones_are_refused(jobs, tmp_path):
    order = jobs.steps.labels("digits")
    (tmp_path / "human.pt").write_bytes((tmp_path / "human.pt").read_bytes()[:-1])
    with pytest.raises(SuiteError, match=r"human\.pt is damaged: it has .* bytes instead of"):
        fulfil(order, human.make)
    assert not order.folder.exists()


def test_a_profile_without_human_labels_has_none_to_prepare():
    with pytest.raises(SuiteError, match=r"datasets\.digits\.human_labels: missing"):
        Jobs(checked(tiny_profile())).steps.labels("digits")


def test_the_plan_knows_the_label_files(tmp_path):
    jobs = Jobs(load_profile([ROOT / "config" / "cifarn.yaml"]), tmp_path)
    items = {(item.step, item.about): item for item in plan(jobs, Times("none", {}))}
    assert items["fetch", "CIFAR-10_human.pt"].size == 2_401_007
    assert items["human", "CIFAR-100"].times == 1
    assert items["inject", "CIFAR-10"].times == 25
