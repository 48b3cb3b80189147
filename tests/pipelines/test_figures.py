"""The paper's figures against the probes and steps that they are drawn from."""

import csv

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import silhouette_score

from emlc.records.errors import SuiteError
from emlc.records.store import Order
from pipelines import corrections, embeddings, objective, recovery
from pipelines.evidence.records import shown
from pipelines.workflow.runs import figure_runs
from tests.pipelines.evidence import METHODS, evidence_jobs, probe_of, run_of
from tests.pipelines.records import write_run


def test_a_point_of_figure_1_from_the_raw_probe(trained):
    tidy = recovery.recoveries(trained.pages.figure("fig1"))
    (row,) = tidy.query("method == 'MLC' and seed == 1 and epoch == 2").to_dict("records")
    arrays = probe_of(trained, "mlc", 1).arrays
    right = arrays["soft_labels"].argmax(axis=1) == arrays["true_labels"]
    wrong = arrays["noisy_labels"] != arrays["true_labels"]
    assert row["recovery"] == pytest.approx(100 * right.mean(), abs=1e-5)
    assert row["wrong_recovery"] == pytest.approx(100 * right[wrong].mean(), abs=1e-5)
    assert row["given_right"] == pytest.approx(100 * (1 - wrong.mean()), abs=1e-5)
    assert len(tidy) == 2 * 2 * 2  # methods, seeds, epochs


def test_figure_3_from_the_raw_probe(trained):
    arrays = probe_of(trained, "emlc-k1", 0).arrays
    drawn = corrections.tidy(arrays)
    wrong = arrays["noisy_labels"] != arrays["true_labels"]
    retained = arrays["retained"][wrong]
    for _, row in drawn.query("panel == 'retain' and group == 'corrupted'").iterrows():
        last = row["x"] > 0.94
        inside = (retained >= row["x"] - 1e-9) & ((retained < row["x"] + 0.05 - 1e-9) | last)
        assert row["value"] == pytest.approx(100 * inside.mean(), abs=1e-4)
    of_given = arrays["soft_labels"][wrong, arrays["noisy_labels"][wrong]]
    (mean,) = drawn.query("panel == 'mean' and group == 'corrupted' and note == 'given'")["value"]
    assert mean == pytest.approx(of_given.mean())
    assert set(drawn.query("group == 'clean'")["n"]) == {int((~wrong).sum())}


def test_the_typical_sample_has_the_median_probability_and_marks_its_labels():
    soft = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    arrays = {
        "soft_labels": soft,
        "true_labels": np.array([0, 0, 0, 1]),
        "noisy_labels": np.array([0, 0, 0, 0]),
        "retained": np.array([0.0, 1.0, 0.5, 0.12]),
    }
    assert corrections.typical(arrays, np.array([0, 1, 2])) == 2
    drawn = corrections.tidy(arrays)
    samples = drawn.query("panel == 'sample'").groupby("group")["note"].agg(list)
    assert samples.to_dict() == {"clean": ["given, true", ""], "corrupted": ["given", "true"]}
    filled = drawn.query("panel == 'retain' and value > 0")[["group", "x", "value"]].to_numpy().tolist()
    third = pytest.approx(100 / 3)
    assert filled == [["clean", 0.0, third], ["clean", 0.5, third], ["clean", 0.95, third], ["corrupted", 0.1, 100.0]]


def test_figure_4_from_the_raw_probe(trained):
    drawn = embeddings.embeddings(trained.pages.figure("fig4"))
    arrays = probe_of(trained, "mlc", 1).arrays
    rows = drawn.query("method == 'MLC' and seed == 1")
    assert rows["class"].tolist() == arrays["test_labels"].tolist()
    expected = silhouette_score(arrays["embeddings"].astype(float), arrays["test_labels"])
    assert rows["silhouette"].iloc[0] == pytest.approx(expected, abs=1e-3)
    points = embeddings.plane(arrays["embeddings"], 1)
    np.testing.assert_allclose(rows[["x", "y"]].to_numpy(), points, atol=1e-3)
    assert silhouette_score(points, arrays["test_labels"]) == pytest.approx(rows["silhouette_tsne"].iloc[0], abs=1e-3)


def test_silhouettes_are_told_over_all_seeds(trained):
    drawn = embeddings.embeddings(trained.pages.figure("fig4"))
    by_seed = embeddings.scores(drawn)
    assert by_seed[["method", "seed"]].to_numpy().tolist() == [
        ["EMLC (k=1)", 0], ["EMLC (k=1)", 1], ["MLC", 0], ["MLC", 1]
    ]  # fmt: skip
    mean = by_seed.query("method == 'MLC'")["silhouette"].mean()
    caption = embeddings.caption(drawn, trained.pages.figure("fig4").identity["place"])
    assert "over n = 2 seeds: EMLC (k=1)" in caption
    assert f"MLC {mean:.2f} (" in caption


def test_a_teacher_without_a_gate_has_no_figure_3(trained, tmp_path):
    probes = [entry for entry in trained.pages.figure("fig1").identity["probes"] if entry["key"] == "mlc"]
    order = trained.pages.figure("fig3")
    ungated = Order(order.kind, {**order.identity, "probes": probes}, {}, order.results)
    with pytest.raises(SuiteError, match="MLC has none"):
        corrections.make(ungated, tmp_path)


def test_a_point_of_figure_5_from_the_raw_steps(trained):
    runs = shown(trained.pages.figure("fig5"))
    tidy = objective.objectives(runs, 1)
    texts = [(run.folder / "steps.csv").read_text().splitlines() for run in runs if run.key == "mlc"]
    values = [float(list(csv.DictReader(lines))[3]["meta_objective"]) for lines in texts]
    (row,) = objective.bands(tidy).query("method == 'MLC' and iteration == 4").to_dict("records")
    assert row["n"] == 2
    assert (row["mean"], row["least"], row["greatest"]) == pytest.approx((sum(values) / 2, min(values), max(values)))


def test_iterations_are_student_updates_of_the_first_epochs(trained):
    tidy = objective.objectives(shown(trained.pages.figure("fig5")), 1).query("seed == 1")
    iterations = {method: rows["iteration"].tolist() for method, rows in tidy.groupby("method")}
    assert iterations == {"MLC": [1, 2, 3, 4, 5], "EMLC (k=1)": [1, 2, 3, 4, 5], "EMLC (k=5)": [5]}


def test_methods_are_called_as_the_profile_calls_them_now(trained):
    renamed = {**METHODS, "mlc": {**METHODS["mlc"], "label": "MLC (ours)"}}
    order = evidence_jobs(trained.results.parent, methods=renamed).pages.figure("fig5")
    assert order.id != trained.pages.figure("fig5").id
    tidy = objective.objectives(shown(order), 1)
    assert list(dict.fromkeys(tidy["method"])) == ["MLC (ours)", "EMLC (k=1)", "EMLC (k=5)"]


def test_failed_runs_are_left_out_and_the_caption_counts_the_others(tmp_path):
    jobs = evidence_jobs(tmp_path)
    steps = [{"step": 0, "epoch": 0, "meta_objective": 2.0}]
    for run in figure_runs(jobs.profile, "fig5"):
        write_run(jobs.steps, run, "RuntimeError: no memory" if run.seed else [10.0], steps)
    order = jobs.pages.figure("fig5")
    tidy = objective.objectives(shown(order), 1)
    assert set(tidy["seed"]) == {0}
    assert "n = 1 seed;" in objective.caption(tidy, order.identity["place"], 1)


def test_edited_steps_are_refused(tmp_path):
    jobs = evidence_jobs(tmp_path)
    for run in figure_runs(jobs.profile, "fig5"):
        write_run(jobs.steps, run, [10.0], [{"step": 0, "epoch": 0, "meta_objective": 2.0}])
    (jobs.steps.run(run_of("mlc", 1)).folder / "steps.csv").write_text("step,epoch,meta_objective\n0,0,1.0\n")
    with pytest.raises(SuiteError, match=r"steps\.csv was changed"):
        objective.make(jobs.pages.figure("fig5"), tmp_path)


COMMANDS = {"fig1": recovery, "fig3": corrections, "fig4": embeddings, "fig5": objective}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_writes_the_same_bytes_every_time(trained, tmp_path, name):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        COMMANDS[name].make(trained.pages.figure(name), tmp_path / folder)
    files = [f"{name}.{suffix}" for suffix in ("csv", "png", "svg", "txt")]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == files
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    assert "n = " in (tmp_path / "one" / f"{name}.txt").read_text()
    assert len(pd.read_csv(tmp_path / "one" / f"{name}.csv")) > 0
