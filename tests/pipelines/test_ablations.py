"""Ablation tables against raw records and probes of real runs."""

import statistics

import pandas as pd
import pytest

from emlc.tasks.draw import load_task
from pipelines.ablations import accuracies, gradients, make, page, tabulate
from pipelines.evidence.probes import probed
from pipelines.evidence.records import shown
from pipelines.workflow.runs import ablation_runs
from tests.pipelines.evidence import ABLATIONS, evidence_jobs, probe_of, run_of
from tests.pipelines.records import made, write_run

QUESTIONS = ABLATIONS["questions"]


@pytest.fixture(scope="module")
def order(trained):
    return trained.pages.ablations()


@pytest.fixture(scope="module")
def records(order):
    """The record of every run, by method and seed."""
    return {(run.key, run.seed): run.record for run in shown(order)}


def test_a_difference_from_the_raw_records(order, records):
    table = tabulate(QUESTIONS, accuracies(shown(order), "last")).set_index("method")
    last = {key: record["epochs"][-1]["test_accuracy"] for key, record in records.items()}
    pairs = [(last["bce-off", seed], last["emlc-k5", seed]) for seed in (0, 1)]
    row = table.loc["bce-off"]
    assert row["difference"] == pytest.approx(statistics.fmean(a - b for a, b in pairs), abs=1e-3)
    assert row["mean"] == pytest.approx(statistics.fmean(a for a, _ in pairs), abs=1e-3)
    assert (row["n"], row["reference"], row["label"]) == (2, "emlc-k5", "L_BCE off")
    assert row["low"] <= row["difference"] <= row["high"]
    assert pd.isna(table.loc["emlc-k5", "difference"])
    assert list(table.index) == ["emlc-k5", "overlap", "bce-off"]


def test_a_variant_s_split_is_that_of_its_task(trained, records):
    task = load_task(trained.steps.task_of(run_of("overlap")).folder / "task.npz")
    assert (task.split, records["overlap", 0]["task"]["sha256"]) == ("released", task.sha256)


def test_differences_pair_the_seeds_that_both_completed(tmp_path):
    jobs = evidence_jobs(tmp_path)
    scores = {"emlc-k5": (50.0, 60.0), "overlap": ("RuntimeError: no memory", 61.5)}
    for run in ablation_runs(jobs.profile):
        score = scores.get(run.method, ("RuntimeError: no memory",) * 2)[run.seed]
        write_run(jobs.steps, run, score if isinstance(score, str) else [score])
    order = jobs.pages.ablations()
    table = tabulate(QUESTIONS, accuracies(shown(order), "best-clean"))
    rows = table.set_index("method")
    assert rows.loc["overlap", "difference"] == 1.5
    assert (rows.loc["overlap", "n"], rows.loc["bce-off", "n"]) == (1, 0)
    assert pd.isna(rows.loc["overlap", "low"])
    assert "| L_BCE off         | failed" in page(order.identity, table, pd.DataFrame())


def test_a_gradient_ratio_from_a_raw_probe(trained, order):
    norms = gradients(probed(order))
    epoch = probe_of(trained, "emlc-k5", 1).epochs[1]
    (row,) = norms.query("label == 'EMLC (k=5)' and seed == 1 and epoch == 2 and part == 'gate'").to_dict("records")
    assert row["ratio"] == pytest.approx(epoch["supervised_gate"] / epoch["meta_gate"])
    assert len(norms) == 2 * 2 * 2 * 2


def test_the_command_writes_its_tables(order):
    folder = made(order, make)
    assert sorted(path.stem for path in folder.iterdir()) == ["ablations", "ablations", "gradients", "seal"]
    text = (folder / "ablations.md").read_text()
    assert "Test accuracy (%) on UCI digits, Sym. 50%, profile `tiny`" in text
    assert "## Which part matters?" in text
    assert "with\n2 comparisons" in text
    assert "EMLC (k=1), body" in text
    assert len(pd.read_csv(folder / "ablations.csv")) == 3
