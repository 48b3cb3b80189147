"""Networks that are looked at in less width: of what they compute nothing is lost."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from emlc.models import build_model
from pipelines.planning.counting import SMALL, operations, pretraining_work, run_work
from pipelines.planning.disk import Images
from pipelines.planning.narrowing import counted, narrowed
from pipelines.profile.load import checked
from pipelines.workflow.jobs import Jobs
from pipelines.workflow.runs import table_runs
from tests.tiny import tiny_profile

IMAGES = Images(training=1200, test=300, side=8)
UNSCORED = IMAGES._replace(test=0)
LARGE, HALF = ({"name": "resnet18", "width": width} for width in (32, 16))
METHODS = {
    "cross-entropy": {"label": "Cross-Entropy", "implementation": "baselines.cross_entropy"},
    "mlnt": {"label": "MLNT", "implementation": "baselines.mlnt", "options": {"num_fast": 2, "pretrain_epochs": 1}},
    "mlc": {"label": "MLC", "implementation": "baselines.mlc"},
    "emlc-k5": {"label": "EMLC (k=5)", "implementation": "emlc.method", "options": {"look_ahead": 5}},
    "sanm": {"label": "SANM", "implementation": "baselines.sanm", "options": {"decoder_width": 64}},
}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    digits = {**tiny_profile()["datasets"]["digits"], "model": LARGE}
    digits["pretraining"] = {"epochs": 3, "batch_size": 50, "warm_up_epochs": 0}
    content = tiny_profile(methods=METHODS, datasets={"digits": digits}, initialisation="simclr")
    content["tables"]["table1"]["methods"] = list(METHODS)
    return Jobs(checked(content), tmp_path_factory.mktemp("results"))


def identity_of(jobs, method):
    return next(jobs.steps.run(run) for run in table_runs(jobs.profile, "table1") if run.method == method).identity


def test_a_cross_entropy_run_is_counted_to_the_operation(jobs):
    identity = identity_of(jobs, "cross-entropy")
    assert narrowed(identity)["model"] == HALF
    direct, narrow = run_work(identity, UNSCORED), counted(run_work, identity, UNSCORED, SMALL)
    assert narrow.pixels == pytest.approx(direct.pixels, rel=1e-12)


@pytest.mark.parametrize("method", ["mlnt", "mlc", "emlc-k5", "sanm"])
def test_other_methods_are_counted_to_a_hundredth_and_their_kernels_too(jobs, method):
    identity = identity_of(jobs, method)
    direct, narrow = run_work(identity, IMAGES), counted(run_work, identity, IMAGES, SMALL)
    assert narrow.pixels == pytest.approx(direct.pixels, rel=0.01)
    # A process's first step makes a few constants; how SANM divides the samples depends on the network.
    assert narrow.calls == pytest.approx(direct.calls, rel=0.1 if method == "sanm" else 0.03)


def test_a_pretraining_is_counted_to_a_hundredth(jobs):
    identity = jobs.steps.encoder("digits").identity
    direct, narrow = pretraining_work(identity, IMAGES), counted(pretraining_work, identity, IMAGES, SMALL)
    assert narrow.pixels == pytest.approx(direct.pixels, rel=0.01)
    assert narrow.calls == pytest.approx(direct.calls, rel=0.03)  # a process's first step makes a few constants


def test_what_a_method_calls_a_width_is_narrowed_with_the_network(jobs):
    assert narrowed(identity_of(jobs, "sanm"))["options"] == {"decoder_width": 32}
    unsaid = {**identity_of(jobs, "sanm"), "options": {}}
    assert narrowed(unsaid)["options"] == {"decoder_width": 128}
    assert narrowed(identity_of(jobs, "mlc"))["options"] == {}


@pytest.mark.parametrize(
    ("model", "width"),
    [
        ({"name": "resnet34"}, 16),
        ({"name": "resnet50-imagenet"}, 16),
        ({"name": "wrn-28-10"}, 2),
        ({"name": "resnet32", "width": 36}, 18),
    ],
)
def test_a_large_network_has_its_width_halved_and_stays_even(model, width):
    assert narrowed({"model": model})["model"] == {**model, "width": width}


@pytest.mark.parametrize("model", [{"name": "resnet32"}, {"name": "cnn-small", "pool": 2}, HALF])
def test_a_network_that_is_not_large_is_looked_at_as_it_is(model):
    identity = {"model": model, "options": {"decoder_width": 64}, "implementation": "baselines.sanm"}
    assert narrowed(identity) is identity


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_operations_are_those_that_pytorch_s_own_counter_finds(mode):
    network, images = build_model("resnet18", 10, 3, torch.Generator(), width=4), torch.ones(2, 3, 8, 8)

    def work():
        with mode():
            loss = network(images).sum()
        if loss.requires_grad:
            loss.backward()

    with FlopCounterMode(display=False) as own:
        work()
    assert operations(work).pixels == own.get_total_flops() > 0
