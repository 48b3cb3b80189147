"""Figure 5 against the step files of real runs."""

import csv

import pytest

from emlc.records.record import read_record, write_record
from pipelines.evidence.runs import figure_runs
from pipelines.objective import bands, caption, main, objectives
from tests.pipelines.evidence import METHODS, evidence_profile

FILES = ["fig5.csv", "fig5.png", "fig5.svg", "fig5.txt"]


def raw(folder, method, seed):
    with (folder / "runs" / "digits" / "sym-0.5" / method / f"seed{seed}" / "steps.csv").open() as handle:
        return list(csv.DictReader(handle))


def test_a_point_of_the_figure_from_the_raw_steps(trained):
    tidy = objectives(evidence_profile(), trained / "runs")
    values = [float(raw(trained, "mlc", seed)[3]["meta_objective"]) for seed in (0, 1)]
    (row,) = bands(tidy).query("method == 'MLC' and iteration == 4").to_dict("records")
    assert row["n"] == 2
    assert (row["mean"], row["least"], row["greatest"]) == pytest.approx((sum(values) / 2, min(values), max(values)))


def test_iterations_are_student_updates_of_the_first_epochs(trained):
    tidy = objectives(evidence_profile(), trained / "runs").query("seed == 1")
    shown = {method: rows["iteration"].tolist() for method, rows in tidy.groupby("method")}
    assert shown == {"MLC": [1, 2, 3, 4, 5], "EMLC (k=1)": [1, 2, 3, 4, 5], "EMLC (k=5)": [5]}
    (first,) = tidy.query("method == 'EMLC (k=5)'")["meta_objective"]
    assert first == float(raw(trained, "emlc-k5", 1)[0]["meta_objective"])


def test_methods_are_called_as_the_profile_calls_them_now(trained):
    renamed = evidence_profile(methods={**METHODS, "mlc": {**METHODS["mlc"], "label": "MLC (ours)"}})
    tidy = objectives(renamed, trained / "runs")
    assert list(dict.fromkeys(tidy["method"])) == ["MLC (ours)", "EMLC (k=1)", "EMLC (k=5)"]


def test_the_step_writes_the_same_bytes_every_time(trained, tmp_path):
    for out in ("one", "two"):
        inputs = ["--config", str(trained / "profile.yaml"), "--runs", str(trained / "runs")]
        assert main([*inputs, "--out", str(tmp_path / out)]) == 0
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == FILES
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_failed_runs_are_left_out_and_the_caption_counts_the_others(trained, tmp_path):
    settings = evidence_profile()
    for run in figure_runs(settings, "fig5"):
        source = trained / "runs" / run.folder
        record = read_record(source / "record.json")
        if run.seed == 1:
            record["status"] = "failed"
        write_record(tmp_path / run.folder / "record.json", record)
        (tmp_path / run.folder / "steps.csv").write_bytes((source / "steps.csv").read_bytes())
    tidy = objectives(settings, tmp_path)
    assert set(tidy["seed"]) == {0}
    assert "n = 1 seed;" in caption(tidy, settings)
