"""The timing table: ratios by hand, and the whole step on a tiny network."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from emlc.records.errors import SuiteError
from pipelines import timing
from pipelines.profile.load import load_settings
from pipelines.profile.settings import DEFAULT_PROFILE
from pipelines.timing import CASES, METHODS, main, measure, prepare, recipe_of, summarise

CPU = torch.device("cpu")


def test_ratios_are_taken_within_rounds():
    rows = [("MLC", 0, 10.0), ("MLC", 1, 40.0), ("MLC", 2, 12.0), ("EMLC", 0, 5.0), ("EMLC", 1, 10.0), ("EMLC", 2, 4.0)]
    measured = pd.DataFrame(rows, columns=["method", "round", "iteration_ms"]).assign(peak_mib=1.5)
    mlc, emlc = summarise(measured, CASES[0], ["MLC"]).to_dict("records")
    assert (mlc["method"], mlc["iteration_ms"], mlc["times faster than MLC"]) == ("MLC", 12.0, 1.0)
    # 10/5, 40/10, 12/4: their median is 3, while the ratio of the medians is 2.4.
    assert (emlc["times faster than MLC"], emlc["n"], emlc["peak_mib"]) == (3.0, 3, 1.5)
    assert (emlc["times faster than MLC (q1)"], emlc["times faster than MLC (q3)"]) == (2.5, 3.5)
    assert emlc["epoch_s"] == pytest.approx(0.005 * 50)


def test_the_step_times_every_method_on_the_network_asked_for(tmp_path):
    network = ["--model", "cnn-small", "--width", "2", "--side", "8", "--channels", "1", "--batch", "10"]
    options = ["--config", str(DEFAULT_PROFILE), "--rounds", "3", "--epoch-images", "1005", "--out", str(tmp_path)]
    assert main([*network, *options]) == 0
    table = pd.read_csv(tmp_path / "timing.csv")
    assert len(table) == len(METHODS)
    assert set(table["net"]) == {"cnn-small, width 2 (8x8x1)"}
    assert (table["iteration_ms"] > 0).all()
    assert (table["n"] == 3).all()
    torch.testing.assert_close(
        torch.tensor(table["epoch_s"]), torch.tensor(table["iteration_ms"]) / 1000 * 100, rtol=1e-3, atol=2e-6
    )
    memory = table.set_index("method")["peak_mib"]
    assert memory["EMLC (k=5)"] > memory["EMLC (k=1)"] > memory["Cross-Entropy"] > 0
    page = (tmp_path / "timing.md").read_text()
    assert "1.97 times for EMLC (k=1) and 2.09 times for EMLC (k=5)" in page
    assert "times faster than MLC (double backward)" in page


def test_a_method_is_timed_as_its_profile_trains_it():
    settings = load_settings([DEFAULT_PROFILE]) | {"protocol": "released"}
    settings["training"] = settings["training"] | {"precision": "tf32"}
    settings["methods"]["emlc-k5"]["training"] = {"lr": 0.01}
    recipe = recipe_of(settings, "emlc-k5", CASES[1])
    assert (recipe.options["meta_gradient"], recipe.options["look_ahead"]) == ("fpmg-released", 5)
    assert (recipe.order, recipe.training.precision, recipe.training.lr) == ("fixed", "tf32", 0.01)
    assert (recipe.model, recipe.training.batch_size, recipe.crop_padding) == (CASES[1].model, 16, 4)
    _, feed = prepare(settings, "emlc-k5", CASES[0], CPU)
    noisy, clean = ({image.numpy().tobytes() for image in stream.samples.images} for stream in (feed.noisy, feed.clean))
    assert noisy & clean  # the released split overlaps


def test_iterations_are_timed_in_the_profile_s_precision(monkeypatch):
    seen = set()
    method = SimpleNamespace(
        look_ahead=1,
        setting=SimpleNamespace(training=SimpleNamespace(precision="tf32")),
        step=lambda noisy, clean: seen.add(torch.backends.cuda.matmul.fp32_precision),
    )
    stream = SimpleNamespace(next=lambda: None)
    monkeypatch.setattr(timing, "prepare", lambda *_: (method, SimpleNamespace(noisy=stream, clean=stream)))
    measure(load_settings([DEFAULT_PROFILE]), CASES[1], ["mlc"], 1, CPU)
    assert seen == {"tf32"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rounds", "0"], "--rounds is 0; it must be at least 1"),
        (["--model", "cnn-small", "--epoch-images", "0"], "--epoch-images is 0; it must be at least 1"),
        (["--model", "cnn-small", "--width", "0", "--batch", "4", "--side", "8"], "option width of model cnn-small"),
        (["--methods", "nothing"], "unknown method 'nothing'"),
    ],
)
def test_what_cannot_be_timed_is_one_line(tmp_path, arguments, message):
    with pytest.raises(SuiteError, match=message):
        main([*arguments, "--out", str(tmp_path)])
    assert list(tmp_path.iterdir()) == []
