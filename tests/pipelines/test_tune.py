"""The hyper-parameter search: folds of the clean set, the budget it follows, the table it writes."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from emlc.data.base import Arrays
from emlc.records.errors import SuiteError
from emlc.tasks.draw import TaskSpec, make_task
from pipelines.profile.load import load_settings
from pipelines.profile.settings import DEFAULT_PROFILE, ROOT
from pipelines.tune import hold_out, main, restricted, summarise, trials

BUDGET = yaml.safe_load((ROOT / "config" / "tuning.yaml").read_text())


class InThisProcess:
    """Stands in for the pool of processes."""

    map = staticmethod(map)

    def __init__(self, processes):
        assert processes == 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture
def task():
    labels = np.repeat(np.arange(4), 25)
    images = np.zeros((100, 2, 2, 1), dtype=np.uint8)
    arrays = Arrays(images, labels, images[:4], labels[:4], ("a", "b", "c", "d"))
    spec = TaskSpec(
        dataset="toy",
        data_sha256="0" * 64,
        kind="sym",
        rate=0.5,
        sampling="per-label",
        split="balanced",
        clean_per_class=6,
    )
    return make_task(arrays, spec, None, seed=7)


def test_folds_are_balanced_disjoint_and_cover_the_clean_set(task):
    held_out = []
    for fold in range(3):
        part = hold_out(task, fold, 3)
        assert np.bincount(part.validation_labels).tolist() == [2, 2, 2, 2]
        assert np.bincount(part.clean_labels).tolist() == [4, 4, 4, 4]
        assert not set(part.clean_indices) & set(part.validation_indices)
        assert np.array_equal(part.noisy_labels, task.noisy_labels)
        held_out.extend(part.validation_indices)
    assert sorted(held_out) == sorted(task.clean_indices)


def test_every_method_of_the_profile_has_a_budget_of_four():
    assert set(BUDGET["candidates"]) == set(load_settings([DEFAULT_PROFILE])["methods"])
    assert {len(candidates) for candidates in BUDGET["candidates"].values()} == {4}


def test_the_search_uses_seeds_that_no_table_reports():
    assert not set(BUDGET["seeds"]) & set(load_settings([DEFAULT_PROFILE])["seeds"])


def test_trials_are_candidates_by_columns_by_seeds_by_folds():
    settings = load_settings([DEFAULT_PROFILE])
    listed = list(trials(settings, BUDGET, Path("data.npz")))
    assert len(listed) == len(settings["methods"]) * 4 * len(BUDGET["columns"]) * len(BUDGET["seeds"]) * BUDGET["folds"]
    mlc = [trial for trial in listed if trial.run.method == "mlc"]
    rates = {trial.settings["methods"]["mlc"]["options"]["teacher_lr"] for trial in mlc}
    assert rates == {candidate["options"]["teacher_lr"] for candidate in BUDGET["candidates"]["mlc"]}


def test_the_profile_holds_the_searched_options_only_at_searched_values():
    methods = load_settings([DEFAULT_PROFILE])["methods"]
    for name, candidates in BUDGET["candidates"].items():
        for key in ("options", "training"):
            searched = [candidate[key] for candidate in candidates if key in candidate]
            chosen = methods[name].get(key, {})
            shared = {option: chosen[option] for option in (searched[0] if searched else {}) if option in chosen}
            assert not shared or any(shared.items() <= candidate.items() for candidate in searched), name


def summary(rows):
    keys = ("candidate", "shared", "score")
    return summarise([{"method": "m", **dict(zip(keys, row, strict=True))} for row in rows])


def test_summary_marks_the_best_of_each_method():
    table = summary([("x", True, 1.0), ("x", True, 3.0), ("y", False, 5.0), ("y", False, 4.0)])
    assert list(table.columns) == ["method", "candidate", "score", "standard_error", "runs", "chosen"]
    assert table["score"].tolist() == [2.0, 4.5]
    assert table["standard_error"].tolist() == [1.0, 0.5]
    assert table["chosen"].tolist() == ["", "yes"]


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        ([("a", False, 5.0), ("b", True, 5.0), ("c", False, 5.0)], "b"),
        ([("a", False, 5.0), ("b", False, 5.0)], "a"),
        ([("a", True, 4.0), ("b", True, 5.0), ("c", True, 5.0)], "b"),
        ([("a", True, 4.99), ("b", False, 5.0)], "b"),
    ],
    ids=["the shared one", "the first", "the first of the shared ones", "no tie"],
)
def test_of_equal_candidates_one_is_marked(rows, chosen):
    table = summary(rows)
    assert table["candidate"][table["chosen"] == "yes"].tolist() == [chosen]


def test_the_step_knows_the_shared_learning_rate(monkeypatch, tmp_path):
    """All candidates alike: Clean only keeps the learning rate that all methods share."""
    monkeypatch.setattr("pipelines.tune.ProcessPoolExecutor", InThisProcess)
    monkeypatch.setattr("pipelines.tune.score", lambda trial: 50.0)
    arguments = ["--data", "data.npz", "--methods", "clean-only", "mlc", "--out", str(tmp_path / "tuning.md")]
    assert main(arguments) == 0
    lines = (tmp_path / "tuning.md").read_text().splitlines()
    assert [line.split("|")[2].strip() for line in lines if "yes" in line] == [
        "{training: {lr: 0.05}}",
        "{options: {teacher_lr: 0.0003}}",
    ]


def test_the_search_can_be_restricted_to_methods_that_exist(tmp_path):
    settings = load_settings([DEFAULT_PROFILE])
    assert restricted(settings, BUDGET, None) == BUDGET
    assert list(restricted(settings, BUDGET, ["mlc"])["candidates"]) == ["mlc"]
    settings["methods"].pop("mlnt")
    with pytest.raises(SuiteError, match="unknown method 'mlnt'; the profile has: cross-entropy, "):
        restricted(settings, BUDGET, None)
    with pytest.raises(SuiteError, match="unknown method 'typo'; the budget has: cross-entropy, "):
        main(["--data", "none.npz", "--methods", "typo", "--out", str(tmp_path / "tuning.md")])
    assert list(tmp_path.iterdir()) == []
