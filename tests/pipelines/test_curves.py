"""Convergence curves from hand-made records: tidy rows, means, files whose bytes depend on the records only."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from pipelines.curves import curves, draw, make, means
from pipelines.evidence.records import shown
from pipelines.profile.load import checked
from pipelines.workflow.pages import Pages
from pipelines.workflow.runs import all_runs
from pipelines.workflow.steps import Steps
from tests.pipelines.records import made, write_run
from tests.tiny import tiny_profile

METHODS = {
    "ce": {"label": "Cross-Entropy", "implementation": "baselines.cross_entropy"},
    "aa": {"label": "A method", "implementation": "baselines.mlc"},
}
COLUMN = {"dataset": "digits", "noise": "sym", "rate": 0.5}
SCORES = {
    ("ce", 0): [10.0, 20.0, 33.33333],
    ("ce", 1): [30.0, 40.0, 33.33333],
    ("aa", 0): [50.0, 60.0, 70.0],
    ("aa", 1): "DivergenceError: x is nan",
}


@pytest.fixture(autouse=True)
def _no_window():
    mpl.use("agg")
    yield
    plt.close("all")


def curves_of(folder, score, columns=(COLUMN,), **changes):
    """The order of the curves of a table's runs, which are in the store with what `score` says."""
    table = {"title": "Table 1", "columns": list(columns)}
    profile = checked(tiny_profile(methods=METHODS, seeds=[0, 1], tables={"table1": table}, **changes))
    steps = Steps(profile, folder / "results")
    for run in all_runs(steps.profile):
        write_run(steps, run, score(run))
    return Pages(steps).curves("table1")


def by_hand(run):
    return SCORES[run.method, run.seed]


@pytest.fixture
def order(tmp_path):
    return curves_of(tmp_path, by_hand)


def test_tidy_rows_of_the_completed_runs(order):
    tidy = curves(shown(order))
    assert list(tidy.columns) == ["dataset", "noise", "rate", "method", "seed", "epoch", "test_accuracy"]
    assert tidy.to_numpy().tolist() == [
        ["UCI digits", "sym", 0.5, METHODS[method]["label"], seed, epoch + 1, accuracy]
        for (method, seed), accuracies in SCORES.items()
        if isinstance(accuracies, list)
        for epoch, accuracy in enumerate(accuracies)
    ]


def test_means_by_hand_in_the_profile_s_order(order):
    wide = means(curves(shown(order)))
    assert list(wide.columns) == ["Cross-Entropy", "A method"]
    assert wide.index.tolist() == [1, 2, 3]
    assert wide.to_numpy().tolist() == [[20.0, 50.0], [30.0, 60.0], [33.3333, 70.0]]


NAME, PLACE = "convergence_table1", "convergence_table1/digits_sym-0.5.csv"


def test_the_command_writes_its_files_with_the_same_bytes_every_time(order, tmp_path):
    def files(folder):
        folder.mkdir()
        make(order, folder)
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    first = files(tmp_path / "one")
    assert set(first) == {f"{NAME}.csv", f"{NAME}.png", f"{NAME}.svg", PLACE}
    assert files(tmp_path / "two") == first
    assert first[PLACE].decode() == "epoch,Cross-Entropy,A method\n1,20.0,50.0\n2,30.0,60.0\n3,33.3333,70.0\n"
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "one" / f"{NAME}.csv"), curves(shown(order)))


def test_two_datasets_are_kept_apart(tmp_path):
    digits = tiny_profile()["datasets"]["digits"]
    datasets = {"digits": digits, "other": {**digits, "options": {"title": "Other digits"}}}
    columns = [COLUMN, {**COLUMN, "dataset": "other"}]
    scores = {"digits": [10.0], "other": [30.0]}
    folder = made(curves_of(tmp_path, lambda run: scores[run.dataset], columns, datasets=datasets), make)
    for place, (score,) in scores.items():
        text = (folder / NAME / f"{place}_sym-0.5.csv").read_text()
        assert text == f"epoch,Cross-Entropy,A method\n1,{score},{score}\n"


def test_a_profile_whose_runs_all_failed_still_has_its_files(tmp_path):
    """The table's rule waits for the figure: the failures would never be shown."""
    folder = made(curves_of(tmp_path, lambda run: "RuntimeError: no memory"), make)
    assert {path.suffix for path in folder.glob(f"{NAME}.*")} == {".png", ".svg", ".csv"}
    assert (folder / PLACE).read_text().strip() == "epoch"
    assert (folder / f"{NAME}.csv").read_text() == "dataset,noise,rate,method,seed,epoch,test_accuracy\n"


def test_columns_tell_rates_apart_and_rows_methods(tmp_path):
    order = curves_of(tmp_path, by_hand, [{**COLUMN, "rate": rate} for rate in (0.12, 0.125)])
    panels = draw(curves(shown(order))).axes
    assert [axes.get_title() for axes in panels] == ["UCI digits\nSym. 12%", "UCI digits\nSym. 12.5%", "", ""]
    assert [axes.get_ylabel() for axes in panels] == ["Cross-Entropy", "", "A method", ""]


def test_every_panel_has_all_curves_and_one_of_them_stands_out(order):
    for axes, own in zip(draw(curves(shown(order))).axes, ([20.0, 30.0, 33.3333], [50.0, 60.0, 70.0]), strict=True):
        *others, last = axes.get_lines()
        assert last.get_ydata().tolist() == pytest.approx(own, abs=1e-4)
        assert len(others) == 1
        assert others[0].get_ydata().tolist() != own
        grey, dark = (mpl.colors.to_rgb(line.get_color()) for line in (others[0], last))
        assert np.dot(grey, LUMINANCE) - np.dot(dark, LUMINANCE) > 0.5  # on a grey printer, too
        assert [text.get_text() for text in axes.texts] == [f"{own[-1]:.1f}"]


LUMINANCE = (0.299, 0.587, 0.114)


def test_a_method_whose_runs_all_failed_has_a_row_without_a_curve_of_its_own(tmp_path):
    columns = [COLUMN, {**COLUMN, "rate": 0.8}]
    score = {("ce", 0.8): "RuntimeError: x"}
    order = curves_of(tmp_path, lambda run: score.get((run.method, run.rate), [10.0, 20.0]), columns)
    panels = draw(curves(shown(order))).axes
    assert [len(axes.get_lines()) for axes in panels] == [2, 1, 2, 1]
    assert [len(axes.texts) for axes in panels] == [1, 0, 1, 1]
