"""Ablation tables against raw records and probes of real runs."""

import statistics

import pandas as pd
import pytest

from emlc.records.record import read_record, write_record
from emlc.tasks.draw import load_task
from pipelines.ablations import accuracies, gradients, main, page, tabulate
from pipelines.evidence.runs import ablation_runs, gradient_runs
from pipelines.probe import load_probe, probes
from tests.pipelines.evidence import evidence_profile


def accuracy(folder, method, seed):
    record = read_record(folder / "runs" / "digits" / "sym-0.5" / method / f"seed{seed}" / "record.json")
    return record["test_accuracy"]["best-clean"]


def test_a_difference_from_the_raw_records(trained):
    table = tabulate(evidence_profile(), accuracies(evidence_profile(), trained / "runs")).set_index("method")
    pairs = [(accuracy(trained, "bce-off", seed), accuracy(trained, "emlc-k5", seed)) for seed in (0, 1)]
    row = table.loc["bce-off"]
    assert row["difference"] == pytest.approx(statistics.fmean(a - b for a, b in pairs), abs=1e-3)
    assert row["mean"] == pytest.approx(statistics.fmean(a for a, _ in pairs), abs=1e-3)
    assert (row["n"], row["reference"], row["label"]) == (2, "emlc-k5", "L_BCE off")
    assert row["low"] <= row["difference"] <= row["high"]
    assert pd.isna(table.loc["emlc-k5", "difference"])
    assert list(table.index) == ["emlc-k5", "overlap", "bce-off"]


def test_a_variant_s_split_is_that_of_its_task(trained):
    task = load_task(trained / "tasks" / "digits" / "sym-0.5" / "released" / "seed0.npz")
    record = read_record(trained / "runs" / "digits" / "sym-0.5" / "overlap" / "seed0" / "record.json")
    assert (task.split, record["task"]["sha256"]) == ("released", task.sha256)


def test_differences_pair_the_seeds_that_both_completed(trained, tmp_path):
    settings = evidence_profile()
    for run in ablation_runs(settings):
        record = read_record(trained / "runs" / run.folder / "record.json")
        if (run.method, run.seed) in {("overlap", 0), ("bce-off", 0), ("bce-off", 1)}:
            record["status"] = "failed"
        write_record(tmp_path / run.folder / "record.json", record)
    table = tabulate(settings, accuracies(settings, tmp_path))
    rows = table.set_index("method")
    expected = accuracy(trained, "overlap", 1) - accuracy(trained, "emlc-k5", 1)
    assert rows.loc["overlap", "difference"] == pytest.approx(expected, abs=1e-3)
    assert (rows.loc["overlap", "n"], rows.loc["bce-off", "n"]) == (1, 0)
    assert pd.isna(rows.loc["overlap", "low"])
    text = page(settings, table, pd.DataFrame())
    assert "| L_BCE off         | failed" in text


def test_a_gradient_ratio_from_a_raw_probe(trained):
    settings = evidence_profile()
    norms = gradients(settings, probes(settings, gradient_runs(settings), trained / "probes"))
    epoch = load_probe(trained / "probes" / "digits" / "sym-0.5" / "emlc-k5" / "seed1" / "probe.npz").epochs[1]
    (row,) = norms.query("label == 'EMLC (k=5)' and seed == 1 and epoch == 2 and part == 'gate'").to_dict("records")
    assert row["ratio"] == pytest.approx(epoch["supervised_gate"] / epoch["meta_gate"])
    assert len(norms) == 2 * 2 * 2 * 2


def test_the_step_writes_its_tables(trained, tmp_path):
    inputs = ["--config", str(trained / "profile.yaml"), "--runs", str(trained / "runs")]
    assert main([*inputs, "--probes", str(trained / "probes"), "--out", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ablations.csv", "ablations.md", "gradients.csv"]
    text = (tmp_path / "ablations.md").read_text()
    assert "## Which part matters?" in text
    assert "with\n2 comparisons" in text
    assert "EMLC (k=1), body" in text
    assert len(pd.read_csv(tmp_path / "ablations.csv")) == 3
