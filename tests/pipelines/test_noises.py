"""Noise that looks at images or comes from a matrix file, and sets that only validate: from a profile to its tasks."""

import numpy as np
import pytest

from emlc.records.errors import SuiteError
from emlc.tasks.draw import load_task
from pipelines import inject, prepare
from pipelines.machine.work import fulfil
from pipelines.profile.load import checked
from pipelines.profile.places import ROOT
from pipelines.training.trials import hold_out
from pipelines.workflow.jobs import Jobs
from pipelines.workflow.runs import all_runs
from tests.tiny import tiny_profile

FLIPS = 0.75 * np.eye(10) + 0.25 * np.roll(np.eye(10), 1, axis=1)


def jobs_of(folder, noise, rate, **facts):
    """The jobs of a profile on 300 images of clothes under one noise."""
    source = {"source": str(ROOT / "embedded" / "clothes.npz"), "subset": {"train": 300, "test": 100}}
    model = {"name": "cnn-small", "width": 4}
    clothes = {"kind": "clothes", "options": source, "clean_per_class": 3, "crop_padding": 2, "model": model, **facts}
    columns = [{"dataset": "clothes", "noise": noise, "rate": rate}]
    tables = {"table2": {"title": "Table 2", "columns": columns}}
    return Jobs(checked(tiny_profile(datasets={"clothes": clothes}, tables=tables)), folder / "results")


def drawn(jobs, split="balanced"):
    """The task of the profile's column and seed."""
    if not jobs.steps.data("clothes").folder.exists():
        fulfil(jobs.steps.data("clothes"), prepare.make)
    (column,) = jobs.profile.columns()
    order = jobs.steps.task(column, 0, jobs.steps.draw(column)._replace(split=split))
    fulfil(order, inject.make)
    return load_task(order.folder / "task.npz")


@pytest.mark.parametrize("kind", ["idn-part-dependent", "pmd-type1", "pmd-type2", "pmd-type3"])
def test_noise_of_images_is_drawn_at_its_rate(tmp_path, kind):
    task = drawn(jobs_of(tmp_path, kind, 0.385, validation_per_class=1))
    assert (task.kind, task.sampling) == (kind, "per-label")
    assert task.effective_rate == pytest.approx(0.385, abs=0.06)
    assert [len(labels) for labels in (task.clean_labels, task.validation_labels, task.noisy_labels)] == [30, 10, 260]
    assert task.confusion.sum() == 260
    assert np.trace(task.confusion) == round(260 * (1 - task.effective_rate))


def matrix_jobs(tmp_path, rate=0.25):
    np.savetxt(tmp_path / "flips.csv", FLIPS, delimiter=",")
    return jobs_of(tmp_path, "matrix", rate, noise_matrix=str(tmp_path / "flips.csv"))


def test_noise_of_a_matrix_file_is_the_file_s(tmp_path):
    task = drawn(matrix_jobs(tmp_path))
    np.testing.assert_array_equal(task.matrix, FLIPS)
    moved = (task.noisy_labels - task.true_labels) % 10
    assert set(moved) == {0, 1}
    assert moved.mean() == pytest.approx(0.25, abs=0.08)


def test_a_matrix_is_part_of_the_identity_by_its_bytes(tmp_path):
    def ids(matrix, name):
        np.save(tmp_path / name, matrix)
        steps = jobs_of(tmp_path, "matrix", 0.25, noise_matrix=str(tmp_path / name)).steps
        return {steps.run(run).id for run in all_runs(steps.profile)}

    first = ids(FLIPS, "flips.npy")
    assert ids(FLIPS, "same.npy") == first
    assert not ids(FLIPS.T, "flips.npy") & first


def test_a_workflow_waits_for_the_matrix(tmp_path):
    tasks = matrix_jobs(tmp_path).by_kind["tasks"].values()
    assert tasks
    assert all(str(tmp_path / "flips.csv") in job.inputs for job in tasks)


def test_a_matrix_that_changed_after_the_order_is_refused(tmp_path):
    jobs = matrix_jobs(tmp_path)
    assert jobs.by_kind["tasks"]  # ordered
    np.savetxt(tmp_path / "flips.csv", np.eye(10), delimiter=",")
    with pytest.raises(SuiteError, match=r"flips\.csv has changed since this task was ordered"):
        drawn(jobs)


def test_a_rate_that_is_not_the_matrix_s_is_refused(tmp_path):
    with pytest.raises(SuiteError, match=r"noise matrix has rate 0\.2500, not 0\.4; correct the column's rate"):
        drawn(matrix_jobs(tmp_path, rate=0.4))


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "cannot read .*none.csv"), ("1,0\n0.5,0.6\n", "cannot use .*none.csv")],
)
def test_a_bad_matrix_is_refused_before_anything_runs(tmp_path, text, message):
    if text is not None:
        (tmp_path / "none.csv").write_text(text)
    with pytest.raises(SuiteError, match=message):
        assert jobs_of(tmp_path, "matrix", 0.2, noise_matrix=str(tmp_path / "none.csv")).by_kind


def test_the_released_split_draws_a_validation_set_of_its_own(tmp_path):
    jobs = jobs_of(tmp_path, "sym", 0.4, validation_per_class=2)
    paper, released = drawn(jobs), drawn(jobs, "released")
    assert (len(paper.validation_labels), paper.validation_per_class) == (20, 2)
    assert (len(released.validation_labels), released.validation_per_class) == (30, None)


def test_a_search_scores_on_images_that_only_it_holds_out(tmp_path):
    task = drawn(jobs_of(tmp_path, "sym", 0.4, validation_per_class=2))
    held = hold_out(task, 1)
    assert (len(held.clean_labels), len(held.validation_labels)) == (10, 20)
    assert not np.intersect1d(held.validation_indices, task.validation_indices).size


@pytest.mark.parametrize("noise", ["idn-part-dependent", "matrix"])
def test_what_is_drawn_label_by_label_has_no_exact_count(noise):
    column = {"dataset": "digits", "noise": noise, "rate": 0.4, "sampling": "exact-count"}
    digits = {**tiny_profile()["datasets"]["digits"], "noise_matrix": "matrix.csv"}
    with pytest.raises(SuiteError, match=f"sampling: {noise} draws label by label; leave it out"):
        checked(tiny_profile(datasets={"digits": digits}, tables={"table1": {"title": "T", "columns": [column]}}))


def test_a_matrix_has_to_be_named():
    column = {"dataset": "digits", "noise": "matrix", "rate": 0.4}
    with pytest.raises(SuiteError, match=r"needs a \.csv or \.npy file; name it as datasets\.digits\.noise_matrix"):
        checked(tiny_profile(tables={"table1": {"title": "T", "columns": [column]}}))
