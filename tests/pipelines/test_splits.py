"""The split audit: counts equal those of the tasks that runs train on and, for the paper's data, the known ones."""

import csv

import numpy as np
import pytest

from emlc.data.base import Arrays
from emlc.data.store import load_arrays, save_arrays
from emlc.records.errors import SuiteError
from pipelines.inject import draw_task
from pipelines.profile.load import load_settings
from pipelines.profile.settings import DEFAULT_PROFILE, Run
from pipelines.splits import COLUMNS, as_csv, as_markdown, audit, main, papers_data


@pytest.fixture
def data(tmp_path):
    """A folder with a small data set under the default profile's name, its labels not in order."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(400) % 10)
    images = rng.integers(0, 256, (400, 8, 8, 1), dtype=np.uint8)
    arrays = Arrays(images, labels, images[:10], labels[:10], tuple(f"c{i}" for i in range(10)))
    save_arrays(tmp_path / "data" / "digits.npz", arrays, "digits")
    return tmp_path / "data"


@pytest.fixture
def settings():
    return load_settings([DEFAULT_PROFILE])


def test_every_count_is_that_of_the_task(data, settings):
    lines = audit(settings, data)
    assert len(lines) == 2 * len(settings["columns"]) * len(settings["seeds"])
    for line in lines:
        which = Run("", "digits", line["noise_type"], line["noise_rate"], line["seed"])
        task = draw_task({**settings, "protocol": line["protocol"]}, *load_arrays(data / "digits.npz"), which)
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


def test_the_paper_shares_nothing_and_the_public_code_nearly_all(data, settings):
    lines = audit(settings, data)
    for line in lines:
        if line["protocol"] == "paper":
            assert (line["clean_in_noisy"], line["clean_in_validation"], line["clean_labels_used"]) == (0, 30, 30)
        else:
            assert line["clean_in_noisy"] > 20
            assert line["clean_labels_used"] > 50


def test_given_labels_have_a_split_and_no_expected_rate(data, settings):
    columns = [{"dataset": "digits", "noise": noise, "rate": 0.5} for noise in ("human-worst", "sym")]
    given, drawn = (audit({**settings, "columns": [column], "seeds": [0]}, data) for column in columns)
    for one, other in zip(given, drawn, strict=True):
        assert one["clean_in_noisy"] == other["clean_in_noisy"]
        assert "effective_rate" not in one
    assert "| given " in as_markdown(given)


def test_expected_rates_are_those_of_the_fields_definitions(data, settings):
    rates = {(line["noise_type"], line["noise_rate"]): line["expected_rate"] for line in audit(settings, data)}
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


def test_the_files_say_the_same_and_are_always_the_same(data, tmp_path, settings):
    lines = audit(settings, data) + papers_data([0], [])
    outputs = ["--csv", str(tmp_path / "s.csv"), "--md", str(tmp_path / "s.md")]
    assert main(["--data", str(data), *outputs]) == 0
    with (tmp_path / "s.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert tuple(rows[0]) == COLUMNS
    expected = audit(settings, data) + papers_data(settings["seeds"], [])
    assert [row["clean_in_noisy"] for row in rows] == [str(line["clean_in_noisy"]) for line in expected]
    assert (tmp_path / "s.csv").read_text() == as_csv(expected)
    page = (tmp_path / "s.md").read_text()
    assert page == as_markdown(expected)
    assert "| CIFAR-10   | released   | 3       | 1,000 / 1,000 / 49,000       | 978 to 982" in page
    assert as_csv(lines).count("\n") == len(lines) + 1


def test_missing_data_gets_one_clear_line(tmp_path, settings):
    with pytest.raises(SuiteError, match=r"digits\.npz"):
        audit(settings, tmp_path)
