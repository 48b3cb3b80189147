"""Records to cells, by hand; and the step that makes a table, twice to the same bytes."""

import json
import statistics

import pytest
from scipy import stats

from emlc.records.errors import SuiteError
from pipelines.evidence.cells import as_csv, as_metrics
from pipelines.profile.load import checked
from pipelines.table import make
from pipelines.workflow.jobs import Jobs
from pipelines.workflow.runs import table_runs
from tests.pipelines.records import made, write_run
from tests.tiny import tiny_profile

SCORES = {
    "cross-entropy": ([40.0, 50.0], [60.0, 55.0], [70.0, 65.0]),
    "emlc-k5": ([80.0, 81.0], [80.0, 84.0], "diverged"),
}


def jobs_of(folder, **changes):
    return Jobs(checked(tiny_profile(seeds=[0, 1, 2], **changes)), folder / "results")


def with_runs(folder, scores=SCORES, **changes):
    jobs = jobs_of(folder, **changes)
    for run in table_runs(jobs.profile, "table1"):
        write_run(jobs.steps, run, scores[run.method][run.seed])
    return jobs


def tabulated(jobs):
    folder = made(jobs.pages.table("table1"), make)
    return folder, json.loads((folder / "table1.json").read_text())


def test_cells_by_hand(tmp_path):
    folder, table = tabulated(with_runs(tmp_path))
    ce, emlc = table["cells"]
    assert (ce["method"], ce["dataset"], ce["noise_type"], ce["noise_rate"]) == (
        "Cross-Entropy",
        "UCI digits",
        "sym",
        0.5,
    )
    assert ce["accuracies"] == [50.0, 55.0, 65.0]
    assert ce["by_seed"] == {"0": 50.0, "1": 55.0, "2": 65.0}
    assert (ce["mean"], ce["n_seeds"]) == (56.6667, 3)
    assert ce["std"] == pytest.approx(statistics.stdev([50, 55, 65]), abs=1e-4)
    assert (emlc["mean"], emlc["std"], emlc["n_seeds"]) == (82.5, 2.1213, 2)
    (failure,) = emlc["failed"]
    assert (failure["seed"], failure["error"], failure["folder"]) == (2, "diverged", emlc["runs"]["2"])
    assert failure["folder"].startswith("results/runs/")
    assert ce["clean_labels"] == {"given": 15, "trained": 0, "selected": 15}
    assert emlc["clean_labels"] == {"given": 15, "trained": 15, "selected": 15}
    assert (table["profile"], table["title"], table["seeds"]) == ("tiny", "Table 1", [0, 1, 2])
    assert table["versions"] == ["2.15.0"]
    assert (folder / "table1.csv").read_text().splitlines() == [
        "method,dataset,noise_type,noise_rate,mean,std,n_seeds",
        f"Cross-Entropy,UCI digits,sym,0.5,56.6667,{ce['std']},3",
        "EMLC (k=5),UCI digits,sym,0.5,82.5,2.1213,2",
    ]
    assert as_csv(table).encode() == (folder / "table1.csv").read_bytes()
    assert as_metrics(table) == {"UCI digits": {"sym-0.5": {"Cross-Entropy": 56.6667, "EMLC (k=5)": 82.5}}}


def test_paired_comparisons_from_raw_records_by_another_formula(tmp_path):
    scores = {**SCORES, "emlc-k5": ([0.0, 81.0], [0.0, 84.0], [0.0, 90.0])}
    _, table = tabulated(with_runs(tmp_path, scores))
    (column,) = table["paired"]
    (one,) = column["with_best"]
    test = stats.ttest_rel([50.0, 55.0, 65.0], [81.0, 84.0, 90.0])
    interval = test.confidence_interval(0.95)
    assert (column["best"], one["method"], one["n"]) == ("EMLC (k=5)", "Cross-Entropy", 3)
    found = [one[name] for name in ("difference", "low", "high", "p")]
    assert found == pytest.approx(
        [(50 + 55 + 65 - 81 - 84 - 90) / 3, interval.low, interval.high, test.pvalue], abs=1e-4
    )
    assert (one["real"], column["top"]) == (True, ["EMLC (k=5)"])


@pytest.mark.parametrize(("selection", "mean"), [("last", 56.6667), ("best-test", 60.0), ("mean-last-5", 56.6667)])
def test_the_table_s_selection_decides(tmp_path, selection, mean):
    table = {**tiny_profile()["tables"]["table1"], "selection": selection}
    _, content = tabulated(with_runs(tmp_path, tables={"table1": table}))
    assert content["cells"][0]["mean"] == mean
    assert content["cells"][1]["clean_labels"] == {"given": 15, "trained": 15, "selected": 0}


def test_a_method_s_own_selection_goes_before_the_table_s(tmp_path):
    methods = {**tiny_profile()["methods"]}
    methods["cross-entropy"] = {**methods["cross-entropy"], "selection": "best-test"}
    folder, content = tabulated(with_runs(tmp_path, methods=methods))
    cells = {cell["method"]: cell for cell in content["cells"]}
    assert [cells[name]["mean"] for name in ("Cross-Entropy", "EMLC (k=5)")] == [60.0, 82.5]
    assert [cell["recipe"]["selection"] for cell in cells.values()] == ["best-test", "best-clean"]
    text = (folder / "table1.md").read_text()
    assert "ties by lower clean loss), of Cross-Entropy the epoch with the best test accuracy. Bold" in text


def test_a_cell_says_by_which_recipe_it_was_trained(tmp_path):
    methods = {**tiny_profile()["methods"]}
    methods["emlc-k5"] = {
        **methods["emlc-k5"],
        "model": {"name": "resnet18"},
        "padding": "reflect",
        "training": {"batch_size": 6},
    }
    _, content = tabulated(with_runs(tmp_path, methods=methods))
    ce, emlc = (cell["recipe"] for cell in content["cells"])
    assert emlc == ce | {"network": "resnet18", "padding_content": "reflect", "batch_size": 6}
    assert ce == {
        "network": "cnn-small",
        "initialisation": "scratch",
        "epochs": 2,
        "batch_size": 12,
        "padding": 1,
        "padding_content": "zero",
        "clean_images": 15,
        "validation_images": 0,
        "selection": "best-clean",
    }


def test_the_same_bytes_every_time_and_no_name_of_the_place(tmp_path):
    one, _ = tabulated(with_runs(tmp_path / "one"))
    other, _ = tabulated(with_runs(tmp_path / "other"))
    for name in ("table1.csv", "table1.md", "compare_table1.md", "compare_table1.json", "metrics_table1.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


def test_a_missing_or_edited_record_is_refused_by_name(tmp_path):
    jobs = with_runs(tmp_path)
    order = jobs.steps.run(table_runs(jobs.profile, "table1")[0])
    record = order.folder / "record.json"
    record.write_text(record.read_text().replace("50.0", "99.0"))
    with pytest.raises(SuiteError, match=f"{record} was changed; delete {order.folder} and start the workflow again"):
        tabulated(jobs)
    assert not jobs.pages.table("table1").folder.exists()


def test_runs_are_read_by_id_so_that_another_profile_s_do_not_count(tmp_path):
    with_runs(tmp_path)
    other = jobs_of(tmp_path, training={**tiny_profile()["training"], "lr": 0.01})
    with pytest.raises(SuiteError, match="is not there, or not whole"):
        tabulated(other)
