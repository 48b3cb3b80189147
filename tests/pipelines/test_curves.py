"""Convergence curves from hand-made records: tidy rows, means, files whose bytes depend on the records only."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import pytest

from pipelines.curves import curves, draw, main, means, save
from pipelines.profile.load import validated
from pipelines.profile.settings import Run
from tests.pipelines.records import write_run
from tests.tiny import tiny_profile, write_yaml

METHODS = {
    "ce": {"label": "Cross-Entropy", "implementation": "baselines.cross_entropy"},
    "aa": {"label": "A method", "implementation": "baselines.mlc"},
}


@pytest.fixture(autouse=True)
def _no_window():
    mpl.use("agg")
    yield
    plt.close("all")


@pytest.fixture
def settings():
    return validated(tiny_profile(methods=METHODS, seeds=[0, 1]))


@pytest.fixture
def runs(tmp_path, settings):
    folder = tmp_path / "runs"
    write_run(folder, settings, Run("ce", "digits", "sym", 0.5, 0), [10.0, 20.0, 33.33333])
    write_run(folder, settings, Run("ce", "digits", "sym", 0.5, 1), [30.0, 40.0, 33.33333])
    write_run(folder, settings, Run("aa", "digits", "sym", 0.5, 0), [50.0, 60.0, 70.0])
    write_run(folder, settings, Run("aa", "digits", "sym", 0.5, 1), "DivergenceError: x is nan")
    return folder


def test_tidy_rows_of_the_completed_runs(settings, runs):
    tidy = curves(settings, runs)
    assert list(tidy.columns) == ["dataset", "noise", "rate", "method", "seed", "epoch", "test_accuracy"]
    assert tidy.to_numpy().tolist() == [
        ["UCI digits", "sym", 0.5, method, seed, epoch + 1, accuracy]
        for method, seed, accuracies in [
            ("Cross-Entropy", 0, [10.0, 20.0, 33.33333]),
            ("Cross-Entropy", 1, [30.0, 40.0, 33.33333]),
            ("A method", 0, [50.0, 60.0, 70.0]),
        ]
        for epoch, accuracy in enumerate(accuracies)
    ]


def test_means_by_hand_in_the_profile_s_order(settings, runs):
    wide = means(curves(settings, runs))
    assert list(wide.columns) == ["Cross-Entropy", "A method"]
    assert wide.index.tolist() == [1, 2, 3]
    assert wide.to_numpy().tolist() == [[20.0, 50.0], [30.0, 60.0], [33.3333, 70.0]]


def test_the_step_writes_its_files_with_the_same_bytes_every_time(settings, runs, tmp_path):
    profile = write_yaml(tmp_path / "profile.yaml", settings)
    for out in ("one", "two"):
        assert main(["--config", str(profile), "--runs", str(runs), "--out", str(tmp_path / out)]) == 0
    files = sorted(str(path.relative_to(tmp_path / "one")) for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert files == [
        "convergence.csv", "convergence.png", "convergence.svg", "convergence/digits_sym-0.5.csv"
    ]  # fmt: skip
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert (tmp_path / "one" / files[3]).read_text() == (
        "epoch,Cross-Entropy,A method\n1,20.0,50.0\n2,30.0,60.0\n3,33.3333,70.0\n"
    )
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "one" / files[0]), curves(settings, runs))


def test_two_datasets_are_kept_apart(settings, tmp_path):
    digits = settings["datasets"]["digits"]
    other = {**digits, "options": {"title": "Other digits"}}
    columns = [{"dataset": name, "noise": "sym", "rate": 0.5} for name in ("digits", "other")]
    both = validated({**settings, "datasets": {"digits": digits, "other": other}, "columns": columns})
    write_run(tmp_path / "runs", both, Run("ce", "digits", "sym", 0.5, 0), [10.0])
    write_run(tmp_path / "runs", both, Run("ce", "other", "sym", 0.5, 0), [30.0], title="Other digits")
    save(curves(both, tmp_path / "runs"), both, tmp_path / "out")
    text = (tmp_path / "out" / "convergence" / "digits_sym-0.5.csv").read_text()
    assert text == "epoch,Cross-Entropy\n1,10.0\n"


def test_a_profile_whose_runs_all_failed_still_has_its_files(settings, tmp_path):
    """The table's rule waits for the figure: the failures would never be shown."""
    for run_of in (Run(method, "digits", "sym", 0.5, seed) for method in METHODS for seed in (0, 1)):
        write_run(tmp_path / "runs", settings, run_of, "RuntimeError: no memory")
    save(curves(settings, tmp_path / "runs"), settings, tmp_path / "out")
    assert (tmp_path / "out" / "convergence.png").exists()
    assert (tmp_path / "out" / "convergence.svg").exists()
    assert (tmp_path / "out" / "convergence" / "digits_sym-0.5.csv").read_text().strip() == "epoch"
    header = "dataset,noise,rate,method,seed,epoch,test_accuracy\n"
    assert (tmp_path / "out" / "convergence.csv").read_text() == header


def test_panels_tell_rates_apart(settings, tmp_path):
    columns = [{"dataset": "digits", "noise": "sym", "rate": rate} for rate in (0.12, 0.125)]
    both = validated({**settings, "columns": columns})
    for rate in (0.12, 0.125):
        write_run(tmp_path / "runs", both, Run("ce", "digits", "sym", rate, 0), [10.0])
    titles = [axes.get_title() for axes in draw(curves(both, tmp_path / "runs"), both).axes]
    assert titles == ["UCI digits, Sym. 12%", "UCI digits, Sym. 12.5%"]
