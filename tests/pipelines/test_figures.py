"""Figures 1, 3 and 4 against the probes that they are drawn from."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import silhouette_score

from pipelines import corrections, embeddings, recovery
from pipelines.probe import load_probe
from tests.pipelines.evidence import evidence_profile


def probe(folder, method, seed):
    return load_probe(folder / "probes" / "digits" / "sym-0.5" / method / f"seed{seed}" / "probe.npz")


def test_a_point_of_figure_1_from_the_raw_probe(trained):
    tidy = recovery.recoveries(evidence_profile(), trained / "probes")
    (row,) = tidy.query("method == 'MLC' and seed == 1 and epoch == 2").to_dict("records")
    arrays = probe(trained, "mlc", 1).arrays
    right = arrays["soft_labels"].argmax(axis=1) == arrays["true_labels"]
    wrong = arrays["noisy_labels"] != arrays["true_labels"]
    assert row["recovery"] == pytest.approx(100 * right.mean(), abs=1e-5)
    assert row["wrong_recovery"] == pytest.approx(100 * right[wrong].mean(), abs=1e-5)
    assert row["given_right"] == pytest.approx(100 * (1 - wrong.mean()), abs=1e-5)
    assert len(tidy) == 2 * 2 * 2  # methods, seeds, epochs


def test_figure_3_from_the_raw_probe(trained):
    arrays = probe(trained, "emlc-k1", 0).arrays
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
    drawn = embeddings.embeddings(evidence_profile(), trained / "probes")
    arrays = probe(trained, "mlc", 1).arrays
    rows = drawn.query("method == 'MLC' and seed == 1")
    assert rows["class"].tolist() == arrays["test_labels"].tolist()
    expected = silhouette_score(arrays["embeddings"].astype(float), arrays["test_labels"])
    assert rows["silhouette"].iloc[0] == pytest.approx(expected, abs=1e-3)
    points = embeddings.plane(arrays["embeddings"], 1)
    np.testing.assert_allclose(rows[["x", "y"]].to_numpy(), points, atol=1e-3)
    assert silhouette_score(points, arrays["test_labels"]) == pytest.approx(rows["silhouette_tsne"].iloc[0], abs=1e-3)


def test_silhouettes_are_told_over_all_seeds(trained):
    drawn = embeddings.embeddings(evidence_profile(), trained / "probes")
    by_seed = embeddings.scores(drawn)
    assert by_seed[["method", "seed"]].to_numpy().tolist() == [
        ["EMLC (k=1)", 0], ["EMLC (k=1)", 1], ["MLC", 0], ["MLC", 1]
    ]  # fmt: skip
    mean = by_seed.query("method == 'MLC'")["silhouette"].mean()
    assert "over n = 2 seeds: EMLC (k=1)" in embeddings.caption(drawn, evidence_profile())
    assert f"MLC {mean:.2f} (" in embeddings.caption(drawn, evidence_profile())


STEPS = {"fig1": recovery, "fig3": corrections, "fig4": embeddings}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_writes_the_same_bytes_every_time(trained, tmp_path, name):
    inputs = ["--config", str(trained / "profile.yaml"), "--probes", str(trained / "probes")]
    for out in ("one", "two"):
        assert STEPS[name].main([*inputs, "--out", str(tmp_path / out)]) == 0
    files = [f"{name}.{suffix}" for suffix in ("csv", "png", "svg", "txt")]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == files
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    assert "n = " in (tmp_path / "one" / f"{name}.txt").read_text()
    assert len(pd.read_csv(tmp_path / "one" / f"{name}.csv")) > 0
