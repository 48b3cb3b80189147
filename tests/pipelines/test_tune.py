"""The hyper-parameter search: its held-out images, the budget it follows, its records and the table it writes."""

from collections import Counter
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from emlc.data.base import Arrays
from emlc.records.errors import SuiteError
from emlc.tasks.draw import TaskSpec, make_task
from pipelines import tune
from pipelines.page.tuning import COLUMNS, as_markdown, markers, read_trials, summarise, with_search
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
BUDGETS = {budget.table: budget for budget in (BUDGET, load_budget(ROOT / "config" / "tuning-table2.yaml"))}
RECORDS = ROOT / "results" / "recorded" / "tuning"
both = pytest.mark.parametrize("table", BUDGETS)


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


def test_every_row_of_both_tables_has_one_budget_of_four():
    searched = [name for budget in BUDGETS.values() for name in budget.candidates]
    assert sorted(searched) == sorted({row for table in BUDGETS for row in PROFILE.tables[table].methods})
    candidates = [each for budget in BUDGETS.values() for each in budget.candidates.values()]
    assert {len(each) for each in candidates} == {len({str(said(one)) for one in each}) for each in candidates} == {4}


@both
def test_the_search_is_for_a_tables_rows_and_columns(table):
    columns = {(column.dataset, column.noise, column.rate) for column in PROFILE.tables[table].columns}
    assert {(column.dataset, column.noise, column.rate) for column in BUDGETS[table].columns} <= columns


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table": "table3"}, r"unknown table 'table3'; the profile has: table1, table2"),
        ({"table": "table2"}, r"unknown method 'clean-only-scratch'; table2 has: cross-entropy, joint-optim, .*"),
    ],
)
def test_a_budget_of_another_table_is_refused(change, message):
    with pytest.raises(SuiteError, match=f"^{message}$"):
        check_budget(BUDGET.model_copy(update=change), PROFILE, [])


@both
def test_a_setting_says_all_that_the_others_of_its_method_change(table):
    for name, candidates in BUDGETS[table].candidates.items():
        said_of = [{key: set(block) for key, block in said(candidate).items()} for candidate in candidates]
        assert all(keys == said_of[0] for keys in said_of), name


@both
def test_the_search_uses_seeds_that_no_table_reports(table):
    check_budget(BUDGETS[table], PROFILE, [])
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


@both
def test_the_profile_holds_the_searched_options_only_at_searched_values(table):
    for name, candidates in BUDGETS[table].candidates.items():
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
        "table": "table1",
        "seeds": [7],
        "held_out_per_class": 2,
        "columns": [{"dataset": "digits", "noise": "sym", "rate": 0.5}],
        "candidates": {
            "cross-entropy": [{"training": {"lr": 0.01}}, {"training": {"lr": 0.05}}],
            "emlc-k5": [{"options": {"look_ahead": 1}}],
        },
    }
    write_yaml(tmp_path / "budget.yaml", budget)
    begin, end = markers("table1")
    (tmp_path / "page.md").write_text(f"Above.\n{begin}\nold\n{end}\nBelow.\n")
    options = {"config": "profile.yaml", "budget": "budget.yaml", "records": "records", "page": "page.md"}
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(tmp_path / value))]
    return tmp_path, [*arguments, "--results", str(jobs.results)]


def test_a_search_is_kept_line_by_line_and_shown(place):
    folder, arguments = place
    assert main(arguments) == 0
    lines = read_trials(folder / "records" / "tiny-table1.csv")
    assert lines["candidate"].tolist() == [
        *("{training: {lr: 0.01}}", "{training: {lr: 0.05}}", "{options: {look_ahead: 1}}")
    ]
    assert lines["shared"].tolist() == [False, True, True]
    assert lines["score"].between(0, 100).all()
    assert lines["run"].is_unique
    page = (folder / "page.md").read_text()
    assert page == with_search(page, "table1", as_markdown(lines, {"cross-entropy": 2, "emlc-k5": 1}))
    assert page.startswith("Above.\n")
    assert page.endswith("Below.\n")
    assert "old" not in page


def test_a_search_that_was_stopped_goes_on(place, monkeypatch):
    folder, arguments = place
    assert main([*arguments, "--methods", "cross-entropy"]) == 0
    file = folder / "records" / "tiny-table1.csv"
    first, scored = read_trials(file), []
    assert first["method"].tolist() == ["cross-entropy"] * 2
    assert "stay as they were: emlc-k5 (0 of 1 runs)." in (folder / "page.md").read_text()
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
    (folder / "budget.yaml").write_text("table: table1\nfolds: 3\n")
    with pytest.raises(SuiteError, match=r"budget\.yaml: config key folds: there is no such key"):
        main(arguments)
    assert not (folder / "records").exists()


@both
def test_the_shipped_page_is_that_of_the_records(table):
    page = (ROOT / "docs" / "tuning.md").read_text()
    assert [page.count(marker) for marker in markers(table)] == [1, 1]
    planned = Counter(trial.which.method for trial in Search(PROFILE, BUDGETS[table], Path("results")).trials())
    lines = read_trials(RECORDS / f"embedded-{table}.csv")
    assert planned.keys() >= set(lines["method"])
    assert page == with_search(page, table, as_markdown(lines, planned))


@both
def test_the_profile_holds_the_winner_of_every_search_that_was_finished(table):
    lines = read_trials(RECORDS / f"embedded-{table}.csv")
    ranked = summarise(lines)
    for name, candidate in ranked[ranked["chosen"] == "yes"][["method", "candidate"]].itertuples(index=False):
        entry, best = PROFILE.methods[name], yaml.safe_load(candidate)
        if lines["method"].eq(name).sum() == 4 * len(BUDGETS[table].seeds) * len(BUDGETS[table].columns):
            options = import_module(entry.implementation).METHOD.Options
            assert options(**entry.options) == options(**entry.options | best.get("options", {})), name
            training = PROFILE.training_of(name, BUDGETS[table].columns[0].dataset)
            assert said(training).items() >= best.get("training", {}).items(), name


def trials_of(method, scores):
    line = dict.fromkeys(COLUMNS, "x") | {"method": method, "shared": True, "seed": 7}
    return [line | {"score": score} for score in scores]


def test_a_method_that_was_not_searched_to_the_end_is_named_and_not_ranked():
    lines = pd.DataFrame([*trials_of("whole", [1.0, 2.0]), *trials_of("part", [9.0])])
    page = as_markdown(lines, {"whole": 2, "part": 2, "none": 4})
    assert page.endswith(
        "Not searched to the end, so their settings stay as they were: part (1 of 2 runs), none (0 of 4 runs)."
    )
    assert page.startswith("2 runs on x ")
    assert "| whole " in page
    assert "| part " not in page
    assert as_markdown(lines[:0], {"none": 4}).startswith("Not searched")
    assert "Not searched" not in as_markdown(lines[:2], {"whole": 2})


def test_the_searches_of_two_tables_do_not_touch_each_other():
    empty = "\n".join(text for table in BUDGETS for text in markers(table))
    page = with_search(with_search(empty, "table2", "second"), "table1", "first")
    assert page == with_search(with_search(empty, "table1", "first"), "table2", "second")
    assert page.split("\n\n")[1::2] == ["first", "second"]
