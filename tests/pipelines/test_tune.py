"""The hyper-parameter search: its held-out images, the budget it follows, its records and the table it writes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from emlc.data.base import Arrays
from emlc.records.errors import SuiteError
from emlc.tasks.draw import TaskSpec, make_task
from pipelines import tune
from pipelines.page.tuning import BEGIN, COLUMNS, END, as_markdown, read_trials, summarise, with_search
from pipelines.profile.budget import check_budget, load_budget
from pipelines.profile.load import load_profile
from pipelines.profile.model import said
from pipelines.profile.places import DEFAULT_PROFILE, ROOT
from pipelines.training.trials import Search, hold_out
from pipelines.tune import main
from tests.stores import tiny_jobs
from tests.tiny import tiny_profile, write_yaml

PROFILE, BUDGET = load_profile([DEFAULT_PROFILE]), load_budget(ROOT / "config" / "tuning.yaml")
SEARCH = Search(PROFILE, BUDGET, Path("results"))
RECORDS = ROOT / "results" / "recorded" / "tuning" / "embedded.csv"


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


def test_the_clean_set_is_cut_in_two_that_are_balanced_and_disjoint(task):
    part = hold_out(task, 2)
    assert np.bincount(part.clean_labels).tolist() == [2, 2, 2, 2]
    assert np.bincount(part.validation_labels).tolist() == [4, 4, 4, 4]
    assert not set(part.clean_indices) & set(part.validation_indices)
    assert sorted([*part.clean_indices, *part.validation_indices]) == sorted(task.clean_indices)
    assert np.array_equal(part.noisy_labels, task.noisy_labels)


def test_every_row_of_table_1_has_a_budget_of_four():
    assert set(BUDGET.candidates) == set(PROFILE.tables["table1"].methods)
    assert {len(candidates) for candidates in BUDGET.candidates.values()} == {4}


def test_the_search_uses_seeds_that_no_table_reports():
    check_budget(BUDGET, PROFILE, [])
    shown = BUDGET.model_copy(update={"seeds": (*BUDGET.seeds, PROFILE.seeds_of("table2")[0])})
    with pytest.raises(SuiteError, match=r"^tables report seeds 0; search on others$"):
        check_budget(shown, PROFILE, [])


def test_noisy_sets_are_whole_windows_of_every_look_ahead_that_is_searched():
    clean = PROFILE.datasets["digits"].clean_per_class + BUDGET.held_out_per_class
    batches = (1437 - 10 * clean) // PROFILE.training.batch_size
    assert {batches % PROFILE.methods[name].options.get("look_ahead", 1) for name in BUDGET.candidates} == {0}


def test_trials_are_candidates_by_columns_by_seeds():
    listed = list(SEARCH.trials())
    assert len(listed) == len(BUDGET.candidates) * 4 * len(BUDGET.columns) * len(BUDGET.seeds)
    mlc = [trial for trial in listed if trial.which.method == "mlc"]
    rates = {trial.run.identity["options"]["teacher_lr"] for trial in mlc}
    assert rates == {candidate.options["teacher_lr"] for candidate in BUDGET.candidates["mlc"]}
    assert {trial.task.identity["clean_per_class"] for trial in listed} == {17}
    assert {trial.clean_per_class for trial in listed} == {3}
    lr = [trial for trial in listed if trial.which.method == "clean-only" and trial.shared]
    assert {trial.candidate for trial in lr} == {"{training: {lr: 0.05}}"}


def test_the_profile_holds_the_searched_options_only_at_searched_values():
    for name, candidates in BUDGET.candidates.items():
        for key in ("options", "training"):
            searched = [said(candidate)[key] for candidate in candidates if key in said(candidate)]
            chosen = said(PROFILE.methods[name]).get(key, {})
            shared = {option: chosen[option] for option in (searched[0] if searched else {}) if option in chosen}
            assert not shared or any(shared.items() <= candidate.items() for candidate in searched), name


def summary(rows):
    keys = ("candidate", "shared", "score")
    return summarise(pd.DataFrame([{"method": "m", **dict(zip(keys, row, strict=True))} for row in rows]))


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


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A tiny profile with its data in a store, a budget and a page, and the arguments that name them."""
    monkeypatch.setattr("pipelines.tune.ProcessPoolExecutor", InThisProcess)
    jobs = tiny_jobs(tmp_path)
    write_yaml(tmp_path / "profile.yaml", tiny_profile())
    budget = {
        "seeds": [7],
        "held_out_per_class": 2,
        "columns": [{"dataset": "digits", "noise": "sym", "rate": 0.5}],
        "candidates": {
            "cross-entropy": [{"training": {"lr": 0.01}}, {"training": {"lr": 0.05}}],
            "emlc-k5": [{"options": {"look_ahead": 1}}],
        },
    }
    write_yaml(tmp_path / "budget.yaml", budget)
    (tmp_path / "page.md").write_text(f"Above.\n{BEGIN}\nold\n{END}\nBelow.\n")
    options = {"config": "profile.yaml", "budget": "budget.yaml", "records": "records", "page": "page.md"}
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(tmp_path / value))]
    return tmp_path, [*arguments, "--results", str(jobs.results)]


def test_a_search_is_kept_line_by_line_and_shown(place):
    folder, arguments = place
    assert main(arguments) == 0
    lines = read_trials(folder / "records" / "tiny.csv")
    assert lines["candidate"].tolist() == [
        *("{training: {lr: 0.01}}", "{training: {lr: 0.05}}", "{options: {look_ahead: 1}}")
    ]
    assert lines["shared"].tolist() == [False, True, True]
    assert lines["score"].between(0, 100).all()
    assert lines["run"].is_unique
    page = (folder / "page.md").read_text()
    assert page == with_search(page, as_markdown(lines))
    assert page.startswith("Above.\n")
    assert page.endswith("Below.\n")
    assert "old" not in page


def test_a_search_that_was_stopped_goes_on(place, monkeypatch):
    folder, arguments = place
    assert main([*arguments, "--methods", "cross-entropy"]) == 0
    file = folder / "records" / "tiny.csv"
    first, scored = read_trials(file), []
    assert first["method"].tolist() == ["cross-entropy"] * 2
    monkeypatch.setattr(tune, "score", lambda trial: scored.append(trial.which.method) or 50.0)
    assert main(arguments) == 0
    assert scored == ["emlc-k5"]
    assert read_trials(file).iloc[:2].equals(first)
    text = (folder / "budget.yaml").read_text()
    (folder / "budget.yaml").write_text(text.replace("lr: 0.01", "lr: 0.02"))
    assert main(arguments) == 0
    assert scored == ["emlc-k5", "cross-entropy"]
    assert len(read_trials(file)) == 3  # the old candidate's line is gone


def test_commits_and_ids_that_look_like_numbers_stay_texts(tmp_path):
    line = dict.fromkeys(COLUMNS, "x") | {"shared": True, "rate": 0.5, "seed": 1, "score": 50.0}
    lines = pd.DataFrame([line | {"commit": "0203189e3339", "run": "01234567890123456789", "torch": "2.10"}])
    lines.to_csv(tmp_path / "trials.csv", index=False)
    pd.testing.assert_frame_equal(read_trials(tmp_path / "trials.csv"), lines[COLUMNS], check_dtype=False)
    (tmp_path / "trials.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SuiteError, match=r"trials\.csv is no file of a search"):
        read_trials(tmp_path / "trials.csv")


def test_what_is_missing_or_wrong_is_one_line_before_anything_runs(place, tmp_path):
    folder, arguments = place
    with pytest.raises(SuiteError, match="unknown method 'typo'; the budget has: cross-entropy, emlc-k5"):
        main([*arguments, "--methods", "typo"])
    with pytest.raises(SuiteError, match=r"missing; make them: snakemake --cores 2 .*nowhere/store/data/.*seal\.json"):
        main([*arguments, "--results", str(tmp_path / "nowhere")])
    (folder / "page.md").write_text("no markers")
    with pytest.raises(SuiteError, match="lacks its markers"):
        main(arguments)
    (folder / "budget.yaml").write_text("seeds: [1]\nfolds: 3\n")
    with pytest.raises(SuiteError, match=r"budget\.yaml: config key folds: there is no such key"):
        main(arguments)
    assert not (folder / "records").exists()


def test_the_shipped_page_is_that_of_the_records():
    page = (ROOT / "docs" / "tuning.md").read_text()
    assert page.count(BEGIN) == page.count(END) == 1
    if not RECORDS.exists():
        pytest.skip("no search is recorded")
    assert page == with_search(page, as_markdown(read_trials(RECORDS)))
