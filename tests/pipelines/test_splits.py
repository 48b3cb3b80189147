"""The split audit: counts equal those of the tasks that runs train on and, for the paper's data, the known ones."""

import csv

import numpy as np
import pytest

from emlc.data.base import Arrays
from emlc.tasks.draw import load_task
from pipelines.inject import make as make_task
from pipelines.profile.load import checked, load_profile
from pipelines.splits import COLUMNS, as_csv, as_markdown, audit, make, papers_data
from pipelines.workflow.pages import Pages
from pipelines.workflow.runs import all_runs
from pipelines.workflow.steps import Steps
from tests.pipelines.records import made
from tests.stores import tiny_jobs
from tests.tiny import tiny_profile

TABLE = load_profile().tables["table1"].model_dump(mode="json", exclude={"methods"})


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """The default profile's columns, on a small data set whose labels are not in order."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(400) % 10)
    images = rng.integers(0, 256, (400, 8, 8, 1), dtype=np.uint8)
    arrays = Arrays(images, labels, images[:10], labels[:10], tuple(f"c{i}" for i in range(10)))
    return tiny_jobs(tmp_path_factory.mktemp("splits"), arrays, tables={"table1": TABLE}, seeds=[0, 1])


@pytest.fixture(scope="module")
def order(jobs):
    return jobs.pages.splits()


@pytest.fixture(scope="module")
def lines(order):
    return audit(order)


def test_every_count_is_that_of_the_task(order, lines, jobs):
    assert len(lines) == 2 * len(TABLE["columns"]) * 2
    runs = {jobs.steps.task_of(run).id for run in all_runs(jobs.profile)}
    assert runs == {entry["task"] for entry in order.identity["tasks"] if entry["protocol"] == "paper"}
    for line, entry in zip(lines, order.identity["tasks"], strict=True):
        task = load_task(order.beside("tasks", entry["task"]) / "task.npz")
        assert (line["noise_type"], line["noise_rate"], line["seed"]) == (task.kind, task.rate, task.seed)
        assert {"paper": "balanced", "released": "released"}[line["protocol"]] == task.split
        clean, validation, noisy = (
            set(indices.tolist()) for indices in (task.clean_indices, task.validation_indices, task.noisy_indices)
        )
        assert (line["clean"], line["validation"], line["noisy"]) == (len(clean), len(validation), len(noisy))
        assert line["clean_in_noisy"] == len(clean & noisy)
        assert line["validation_in_noisy"] == len(validation & noisy)
        assert line["clean_in_validation"] == len(clean & validation)
        assert line["clean_labels_used"] == len(clean | validation)
        given = dict(zip(task.noisy_indices.tolist(), task.noisy_labels.tolist(), strict=True))
        true = dict(zip(task.noisy_indices.tolist(), task.true_labels.tolist(), strict=True))
        assert line["wrong_in_shared"] == sum(given[image] != true[image] for image in clean & noisy)
        wrong = sum(given[image] != true[image] for image in noisy)
        assert line["effective_rate"] == round(wrong / len(noisy), 4)


def test_the_paper_shares_nothing_and_the_public_code_nearly_all(lines):
    for line in lines:
        if line["protocol"] == "paper":
            assert (line["clean_in_noisy"], line["clean_in_validation"], line["clean_labels_used"]) == (0, 30, 30)
        else:
            assert line["clean_in_noisy"] > 20
            assert line["clean_labels_used"] > 50


def test_given_labels_have_a_split_and_no_expected_rate(tmp_path):
    """Nobody labelled the digits by hand; their split is shown by a task of no noise."""
    columns = [{"dataset": "digits", "noise": noise, "rate": 0.5} for noise in ("human-worst", "sym")]
    digits = {**tiny_profile()["datasets"]["digits"], "human_labels": "data/cifar10n.dvc"}
    changes = {"datasets": {"digits": digits}, "tables": {"table1": {"title": "Table 1", "columns": columns}}}
    pages = Pages(Steps(checked(tiny_profile(**changes)), tiny_jobs(tmp_path).results))
    for task in pages.split_tasks():
        made(task, make_task)
    lines = audit(pages.splits())
    given, drawn = ([line for line in lines if line["noise_type"] == column["noise"]] for column in columns)
    for one, other in zip(given, drawn, strict=True):
        assert one["clean_in_noisy"] == other["clean_in_noisy"]
        assert "effective_rate" in other
        assert "effective_rate" not in one
    assert "| not known " in as_markdown(given)


def test_expected_rates_are_those_of_the_fields_definitions(lines):
    rates = {(line["noise_type"], line["noise_rate"]): line["expected_rate"] for line in lines}
    for rate in (0.2, 0.5, 0.8, 0.9):
        assert rates["sym", rate] == pytest.approx(0.9 * rate)
    assert 0.1 < rates["asym", 0.4] < 0.3  # half of the classes flip


def test_the_papers_data_is_audited_from_its_class_sizes():
    found = {(line["dataset"], line["seed"]): line for line in papers_data([0, 1, 2], [])}
    keys = ("clean_in_noisy", "validation_in_noisy", "clean_in_validation", "clean_labels_used")
    assert [found["CIFAR-10", 0][key] for key in keys] == [982, 985, 18, 1982]
    assert [found["CIFAR-10", seed]["clean_in_noisy"] for seed in (1, 2)] == [978, 980]
    assert [found["CIFAR-100", 0][key] for key in keys] == [976, 983, 26, 1974]
    assert found["CIFAR-100", 0]["noisy"] == 49_000
    assert [line["dataset"] for line in papers_data([0], ["CIFAR-10"])] == ["CIFAR-100"]


def test_the_files_say_the_same(order, lines):
    folder = made(order, make)
    with (folder / "splits.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert tuple(rows[0]) == COLUMNS
    expected = lines + papers_data([0, 1], [])
    assert [row["clean_in_noisy"] for row in rows] == [str(line["clean_in_noisy"]) for line in expected]
    assert (folder / "splits.csv").read_text() == as_csv(expected)
    page = (folder / "splits.md").read_text()
    assert page == as_markdown(expected)
    assert "| CIFAR-10   | released   | 2       | 1,000 / 1,000 / 49,000       | 978 to 982" in page
