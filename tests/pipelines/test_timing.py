"""The timing table: ratios by hand, and the whole command on a tiny network."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from emlc.records.errors import SuiteError
from pipelines import timing
from pipelines.profile.load import checked
from pipelines.profile.model import Timing
from pipelines.timing import Net, make, measure, prepare, recipe_of, summarise
from pipelines.workflow.pages import Pages
from pipelines.workflow.steps import Steps
from tests.pipelines.records import made
from tests.tiny import tiny_profile

CPU = torch.device("cpu")
SMALL, RESNET = (Net(**net.model_dump()) for net in Timing(methods=("mlc",)).nets)
METHODS = {
    "cross-entropy": {"label": "Cross-Entropy", "implementation": "baselines.cross_entropy"},
    "mlc": {"label": "MLC", "implementation": "baselines.mlc"},
    "mlc-double-backward": {"label": "MLC (double backward)", "implementation": "baselines.mlc_double_backward"},
    "emlc-k1": {"label": "EMLC (k=1)", "implementation": "emlc.method", "options": {"look_ahead": 1}},
    "emlc-k5": {"label": "EMLC (k=5)", "implementation": "emlc.method", "options": {"look_ahead": 5}},
}
NET = {
    "title": "a net",
    "model": {"name": "cnn-small", "width": 2},
    "channels": 1,
    "side": 8,
    "batch": 10,
    "epoch_images": 1005,
}


def timing_order(tmp_path, net=None, methods=METHODS, **changes):
    block = {"methods": list(methods), "nets": [NET | (net or {})], "rounds": 3}
    profile = checked(tiny_profile(methods=methods, timing=block, **changes))
    return Pages(Steps(profile, tmp_path / "results")).timing()


def test_ratios_are_taken_within_rounds():
    rows = [("MLC", 0, 10.0), ("MLC", 1, 40.0), ("MLC", 2, 12.0), ("EMLC", 0, 5.0), ("EMLC", 1, 10.0), ("EMLC", 2, 4.0)]
    measured = pd.DataFrame(rows, columns=["method", "round", "iteration_ms"]).assign(peak_mib=1.5)
    mlc, emlc = summarise(measured, SMALL, ["MLC"]).to_dict("records")
    assert (mlc["method"], mlc["iteration_ms"], mlc["times faster than MLC"]) == ("MLC", 12.0, 1.0)
    # 10/5, 40/10, 12/4: their median is 3, while the ratio of the medians is 2.4.
    assert (emlc["times faster than MLC"], emlc["n"], emlc["peak_mib"]) == (3.0, 3, 1.5)
    assert (emlc["times faster than MLC (q1)"], emlc["times faster than MLC (q3)"]) == (2.5, 3.5)
    assert emlc["epoch_s"] == pytest.approx(0.005 * 50)


def test_the_command_times_every_method_on_the_net_asked_for(tmp_path):
    folder = made(timing_order(tmp_path), make)
    table = pd.read_csv(folder / "timing.csv")
    assert table["method"].tolist() == [method["label"] for method in METHODS.values()]
    assert set(table["net"]) == {"a net"}
    assert (table["iteration_ms"] > 0).all()
    assert (table["n"] == 3).all()
    torch.testing.assert_close(
        torch.tensor(table["epoch_s"]), torch.tensor(table["iteration_ms"]) / 1000 * 100, rtol=1e-3, atol=2e-6
    )
    memory = table.set_index("method")["peak_mib"]
    assert memory["EMLC (k=5)"] > memory["EMLC (k=1)"] > memory["Cross-Entropy"] > 0
    page = (folder / "timing.md").read_text()
    assert "1.97 times for EMLC (k=1) and 2.09 times for EMLC (k=5)" in page
    assert "times faster than MLC (double backward)" in page
    assert "iterations of each in one round: a net 5. " in page


def test_a_method_is_timed_as_its_profile_trains_it(tmp_path):
    k5 = {"emlc-k5": {**METHODS["emlc-k5"], "training": {"lr": 0.01, "precision": "tf32"}}}
    (method,) = timing_order(tmp_path, methods=k5, protocol="released").identity["methods"]
    recipe = recipe_of(method["recipe"], RESNET)
    assert (recipe.options["meta_gradient"], recipe.options["look_ahead"]) == ("fpmg-released", 5)
    assert (recipe.order, recipe.training.precision, recipe.training.lr) == ("fixed", "tf32", 0.01)
    assert (recipe.model, recipe.training.batch_size, recipe.crop_padding) == (RESNET.model, 16, 4)
    setting = prepare(method, SMALL, CPU).setting
    noisy, clean = (
        {image.numpy().tobytes() for batch in samples.batches() for image in batch.inputs}
        for samples in (setting.noisy, setting.clean)
    )
    assert noisy & clean  # the released split overlaps


def test_iterations_are_timed_in_the_profile_s_precision(monkeypatch):
    seen = set()
    method = SimpleNamespace(
        noisy=SimpleNamespace(size=RESNET.batch),
        setting=SimpleNamespace(training=SimpleNamespace(precision="tf32")),
        step=lambda: seen.add(torch.backends.cuda.matmul.fp32_precision),
    )
    monkeypatch.setattr(timing, "prepare", lambda *_: method)
    measure([{"key": "mlc", "label": "MLC"}], RESNET, 1, CPU)
    assert seen == {"tf32"}


@pytest.mark.parametrize(
    ("net", "message"),
    [
        ({"epoch_images": 0}, r"timing\.nets\.0\.epoch_images: 0 is refused"),
        ({"batch": 1}, r"timing\.nets\.0\.batch: 1 is refused"),
        ({"model": {"name": "cnn-small", "width": 0}}, "option width of model cnn-small"),
    ],
)
def test_what_cannot_be_timed_is_one_line(tmp_path, net, message):
    with pytest.raises(SuiteError, match=message):
        made(timing_order(tmp_path, net), make)
    assert not list(tmp_path.rglob("timing.*"))


def test_a_method_that_takes_batches_of_its_own_is_not_timed(tmp_path, monkeypatch):
    class Other:
        pass

    monkeypatch.setattr("emlc.engine.run.build_method", lambda *_: Other())
    (method,) = timing_order(tmp_path, methods={"mlc": METHODS["mlc"]}).identity["methods"]
    with pytest.raises(SuiteError, match="MLC does not train one student batch by batch"):
        prepare(method, SMALL, CPU)
