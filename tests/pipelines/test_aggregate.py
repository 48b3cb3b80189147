"""From hand-made records to cells, CSV and metrics; records that cannot be trusted are refused by name."""

import json
import shutil

import pytest
import yaml

from emlc.judging.cells import read_cells
from emlc.records.errors import SuiteError
from emlc.records.record import read_record, write_record
from pipelines.aggregate import aggregate, as_csv, as_metrics, collect, main, summaries
from pipelines.profile.load import validated
from pipelines.profile.settings import Run
from tests.pipelines.records import SHA256, content_of, write_run
from tests.tiny import tiny_profile, write_yaml

METHODS = {
    name: {"label": label, "implementation": "baselines.cross_entropy"}
    for name, label in [("ce", "Cross-Entropy"), ("mlc", "MLC"), ("emlc-k1", "EMLC (k=1)"), ("clean", "Clean only")]
}
COLUMNS = [{"dataset": "digits", "noise": "sym", "rate": 0.5}, {"dataset": "digits", "noise": "asym", "rate": 0.4}]


@pytest.fixture
def settings():
    return validated(tiny_profile(methods=METHODS, columns=COLUMNS, seeds=[0, 1, 2]))


@pytest.fixture
def runs(tmp_path, settings):
    """sym 0.5: ce complete, mlc one seed each, failed and missing, emlc failed, clean not run. asym: ce, seed 2."""
    for seed, last in enumerate([80.0, 81.0, 83.5]):
        write_run(tmp_path / "runs", settings, Run("ce", "digits", "sym", 0.5, seed), [90.0, 70.0, last])
    write_run(tmp_path / "runs", settings, Run("mlc", "digits", "sym", 0.5, 0), [60.0, 71.25])
    write_run(tmp_path / "runs", settings, Run("mlc", "digits", "sym", 0.5, 1), "DivergenceError: x is nan")
    for seed in range(3):
        write_run(tmp_path / "runs", settings, Run("emlc-k1", "digits", "sym", 0.5, seed), f"RuntimeError: {seed}")
    write_run(tmp_path / "runs", settings, Run("ce", "digits", "asym", 0.4, 2), [50.0])
    return tmp_path / "runs"


def test_cells_by_hand(settings, runs):
    table = aggregate(settings, collect(settings, runs))
    cells = {(cell["method"], cell["noise_type"]): cell for cell in table["cells"]}
    assert [(cell["noise_type"], cell["method"]) for cell in table["cells"]] == [
        (noise, method["label"]) for noise in ("sym", "asym") for method in METHODS.values()
    ]
    assert cells["Cross-Entropy", "sym"] == {
        "method": "Cross-Entropy",
        "dataset": "UCI digits",
        "noise_type": "sym",
        "noise_rate": 0.5,
        "mean": 81.5,
        "std": 1.8028,  # sqrt((1.5^2 + 0.5^2 + 2^2) / 2)
        "n_seeds": 3,
        "accuracies": [80.0, 81.0, 83.5],
        "effective_rates": [0.4568] * 3,
        "failed": [],
        "missing": 0,
    }
    partial = cells["MLC", "sym"]
    assert (partial["mean"], partial["std"], partial["n_seeds"], partial["missing"]) == (71.25, None, 1, 1)
    folder = "digits/sym-0.5/mlc/seed1"
    assert partial["failed"] == [{"seed": 1, "folder": folder, "error": "DivergenceError: x is nan"}]
    failed = cells["EMLC (k=1)", "sym"]
    assert (failed["mean"], failed["std"], failed["n_seeds"], failed["missing"]) == (None, None, 0, 0)
    assert [item["error"] for item in failed["failed"]] == ["RuntimeError: 0", "RuntimeError: 1", "RuntimeError: 2"]
    absent = cells["Clean only", "sym"]
    assert (absent["mean"], absent["n_seeds"], absent["missing"], absent["failed"]) == (None, 0, 3, [])


def test_the_facts_of_the_page(settings, runs):
    table = aggregate(settings, collect(settings, runs))
    assert {key: value for key, value in table.items() if key != "cells"} == {
        "profile": "tiny",
        "protocol": "paper",
        "selection": "best-clean",
        "seeds": [0, 1, 2],
        "datasets": [{"title": "UCI digits", "sha256": SHA256, "released": "1998-07"}],
        "methods": ["Cross-Entropy", "MLC", "EMLC (k=1)", "Clean only"],
    }


@pytest.mark.parametrize(
    ("selection", "mean"), [("best-clean", 81.5), ("last", 81.5), ("best-test", 90.0), ("mean-last-5", 80.5)]
)
def test_the_profile_s_selection_decides(settings, runs, selection, mean):
    table = aggregate({**settings, "selection": selection}, collect(settings, runs))
    assert table["cells"][0]["mean"] == mean
    assert table["selection"] == selection


def test_the_csv_to_the_byte(settings, runs, tmp_path):
    text = as_csv(aggregate(settings, collect(settings, runs)))
    assert text == (
        "method,dataset,noise_type,noise_rate,mean,std,n_seeds\n"
        "Cross-Entropy,UCI digits,sym,0.5,81.5,1.8028,3\n"
        "MLC,UCI digits,sym,0.5,71.25,,1\n"
        "EMLC (k=1),UCI digits,sym,0.5,,,0\n"
        "Clean only,UCI digits,sym,0.5,,,0\n"
        "Cross-Entropy,UCI digits,asym,0.4,50.0,,1\n"
        "MLC,UCI digits,asym,0.4,,,0\n"
        "EMLC (k=1),UCI digits,asym,0.4,,,0\n"
        "Clean only,UCI digits,asym,0.4,,,0\n"
    )
    (tmp_path / "table.csv").write_text(text)
    cells = read_cells(tmp_path / "table.csv")
    assert (cells[0].mean, cells[0].std, cells[0].n_seeds, cells[2].mean) == (81.5, 1.8028, 3, None)


def test_the_metrics(settings, runs):
    metrics = as_metrics(aggregate(settings, collect(settings, runs)))
    assert metrics == {
        "UCI digits": {
            "sym-0.5": {"Cross-Entropy": 81.5, "MLC": 71.25, "EMLC (k=1)": None, "Clean only": None},
            "asym-0.4": {"Cross-Entropy": 50.0, "MLC": None, "EMLC (k=1)": None, "Clean only": None},
        }
    }


def test_no_record_at_all(settings, tmp_path):
    table = aggregate(settings, collect(settings, tmp_path))
    assert {cell["missing"] for cell in table["cells"]} == {3}
    assert table["datasets"] == [{"title": "UCI digits"}]


def command(profile, runs, out):
    names = [f"--{name}={out / f'table.{name}'}" for name in ("csv", "json", "metrics")]
    return ["--config", str(profile), "--runs", str(runs), *names]


def test_the_step_writes_the_same_bytes_every_time(settings, runs, tmp_path):
    profile = write_yaml(tmp_path / "profile.yaml", settings)
    for out in ("one", "two"):
        assert main(command(profile, runs, tmp_path / out)) == 0
        shutil.copytree(runs, tmp_path / "copy", dirs_exist_ok=True)
    for name in ("csv", "json", "metrics"):
        one, two = ((tmp_path / out / f"table.{name}").read_bytes() for out in ("one", "two"))
        assert one == two
    assert json.loads((tmp_path / "one" / "table.json").read_text()) == aggregate(settings, collect(settings, runs))


def test_timing_does_not_show_in_the_table(settings, runs, tmp_path):
    before = as_csv(aggregate(settings, collect(settings, runs)))
    path = runs / "digits/sym-0.5/ce/seed0/record.json"
    write_record(path, {**read_record(path), "timing": {"total_seconds": 99.0}})
    assert as_csv(aggregate(settings, collect(settings, runs))) == before


def edited(path):
    path.write_text(path.read_text().replace("80.0", "99.0"))


def truncated(path):
    path.write_bytes(path.read_bytes()[:-100])


def emptied(path):
    path.write_text("")


def of_another_schema(path):
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": "emlc.record/0"}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (edited, "does not match its sha256: it was edited or damaged"),
        (truncated, "is not valid JSON"),
        (emptied, "is not valid JSON"),
        (of_another_schema, r"is not a record of schema emlc\.record/1"),
    ],
)
def test_a_damaged_record_is_refused_by_name_and_nothing_is_written(settings, runs, tmp_path, damage, message):
    damage(runs / "digits/sym-0.5/ce/seed0/record.json")
    profile = write_yaml(tmp_path / "profile.yaml", settings)
    with pytest.raises(SuiteError, match=rf"digits/sym-0\.5/ce/seed0/record\.json {message}") as caught:
        main(command(profile, runs, tmp_path / "out"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_record_in_another_run_s_place_is_refused(settings, runs):
    shutil.copy(runs / "digits/sym-0.5/ce/seed0/record.json", runs / "digits/sym-0.5/ce/seed1/record.json")
    with pytest.raises(SuiteError, match=r"ce/seed1/record\.json is the record of another run .*'seed': 0"):
        collect(settings, runs)


def test_a_record_of_another_profile_is_refused(settings, runs):
    with pytest.raises(
        SuiteError, match=r"record\.json was run with profile 'tiny', where the profile says 'large'; delete"
    ):
        collect({**settings, "profile": "large"}, runs)


def test_a_record_of_another_configuration_is_refused(settings, runs):
    changed = validated({**settings, "training": {**settings["training"], "epochs": 99}})
    with pytest.raises(SuiteError, match=r"record\.json was run with training {.*'epochs': 2.* says {.*'epochs': 99"):
        collect(changed, runs)


@pytest.mark.parametrize(
    ("what", "other"), [("task", Run("mlc", "digits", "sym", 0.5, 1)), ("data", Run("ce", "digits", "asym", 0.4, 2))]
)
def test_runs_on_other_labels_or_other_data_are_not_compared(settings, runs, what, other):
    path = runs / other.folder / "record.json"
    record = read_record(path)
    write_record(path, {**record, what: {**record[what], "sha256": "f" * 64}})
    message = rf"ce/seed\d/record\.json and .*{other.method}/seed{other.seed}/record\.json are of different {what} "
    with pytest.raises(SuiteError, match=message + r"\(sha256 0123456789ab and ffffffffffff\)") as caught:
        collect(settings, runs)
    assert "\n" not in str(caught.value)


def test_seeds_and_splits_have_tasks_of_their_own(settings, tmp_path):
    variants = {"overlap": {"label": "Overlap", "of": "ce", "split": "released"}}
    both = validated({**settings, "variants": variants})
    wanted = [Run(method, "digits", "sym", 0.5, seed) for method, seed in (("ce", 0), ("ce", 1), ("overlap", 0))]
    for digit, which in enumerate(wanted):
        record = read_record(write_run(tmp_path, both, which, [1.0]))
        task = {**record["task"], "sha256": str(digit) * 64}
        write_record(tmp_path / which.folder / "record.json", {**record, "task": task})
    assert [item["status"] for item in summaries(both, wanted, tmp_path)] == ["completed"] * 3


def test_records_of_runs_that_the_profile_lacks_do_not_matter(settings, runs):
    before = aggregate(settings, collect(settings, runs))
    write_run(runs, settings, Run("ce", "digits", "sym", 0.5, 9), [1.0])
    (runs / "digits/sym-0.5/unknown/seed0").mkdir(parents=True)
    assert aggregate(settings, collect(settings, runs)) == before


def test_two_datasets_are_kept_apart(settings, tmp_path):
    digits = settings["datasets"]["digits"]
    other = {**digits, "options": {"title": "Other digits"}}
    columns = [COLUMNS[0], {**COLUMNS[0], "dataset": "other"}]
    both = validated({**settings, "datasets": {"digits": digits, "other": other}, "columns": columns})
    write_run(tmp_path, both, Run("ce", "digits", "sym", 0.5, 0), [10.0])
    write_run(tmp_path, both, Run("ce", "other", "sym", 0.5, 0), [20.0], title="Other digits")
    cells = aggregate(both, collect(both, tmp_path))["cells"]
    assert {cell["dataset"]: cell["mean"] for cell in cells if cell["mean"]} == {
        "UCI digits": 10.0,
        "Other digits": 20.0,
    }


def test_a_hand_made_record_looks_like_a_real_one(settings):
    """Guards these tests: what the code reads is what pipelines.train writes (see test_train)."""
    content = content_of(settings, Run("ce", "digits", "sym", 0.5, 0), [1.0])
    assert {"run", "config", "task", "data", "status", "test_accuracy", "epochs"} <= set(content)
    assert yaml.safe_dump(content["config"])
