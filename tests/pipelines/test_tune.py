"""The hyper-parameter search: folds of the clean set, the budget it follows, the table it writes."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from emlc.data.base import Arrays
from emlc.errors import SuiteError
from emlc.tasks import TaskSpec, make_task
from pipelines.profiles import load_settings
from pipelines.settings import DEFAULT_PROFILE, ROOT
from pipelines.tune import hold_out, main, restricted, summarise, trials

BUDGET = yaml.safe_load((ROOT / "config" / "tuning.yaml").read_text())


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
    assert len(listed) == 9 * 4 * len(BUDGET["columns"]) * len(BUDGET["seeds"]) * BUDGET["folds"]
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


def test_summary_marks_the_best_of_each_method():
    rows = [{"method": "m", "candidate": c, "score": s} for c, s in [("x", 1.0), ("x", 3.0), ("y", 5.0), ("y", 4.0)]]
    table = summarise(rows)
    assert table["score"].tolist() == [2.0, 4.5]
    assert table["standard_error"].tolist() == [1.0, 0.5]
    assert table["chosen"].tolist() == ["", "yes"]


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
