"""Hours that no record tells: arithmetic counted right, rates by their source, clocks that say how they know."""

import json
from dataclasses import replace

import pytest

from emlc.records.errors import SuiteError
from pipelines.planning.clock import STARTUP_SECONDS, Clock
from pipelines.planning.counting import (
    SMALL,
    TINY,
    Scale,
    Work,
    between,
    operations,
    pretraining_work,
    run_work,
    sampled_epochs,
    walked,
)
from pipelines.planning.disk import Images, images_of
from pipelines.planning.plan import Times, as_markdown, plan
from pipelines.planning.rates import CPU_FLOPS, GPU_FLOPS, KERNEL_SECONDS, Measured, Rate, rate_for, read_loops
from pipelines.profile.load import checked, load_profile
from pipelines.profile.places import ROOT
from pipelines.workflow.jobs import Jobs
from pipelines.workflow.runs import table_runs
from tests.tiny import TRAINING, tiny_profile

IMAGES = Images(training=1200, test=300, side=8)
PRETRAINING = {"epochs": 3, "batch_size": 50, "warm_up_epochs": 0}
NET = {"name": "resnet18", "width": 16}
"""Large enough that what a method adds to it is little."""
METHODS = {
    "cross-entropy": {"label": "Cross-Entropy", "implementation": "baselines.cross_entropy"},
    "mlc": {"label": "MLC", "implementation": "baselines.mlc"},
    "mslc": {"label": "MSLC", "implementation": "baselines.mslc", "options": {"warm_up": 0.5, "memory_epochs": 1}},
    "emlc-k5": {"label": "EMLC (k=5)", "implementation": "emlc.method", "options": {"look_ahead": 5}},
    "dividemix": {"label": "DivideMix", "implementation": "baselines.dividemix", "options": {"warm_up": 1}},
}


def jobs_of(tmp_path, **training):
    digits = {**tiny_profile()["datasets"]["digits"], "pretraining": PRETRAINING, "model": NET}
    changes = {"methods": METHODS, "datasets": {"digits": digits}, "initialisation": "simclr"}
    return Jobs(checked(tiny_profile(**changes, training={**TRAINING, **training})), tmp_path / "results")


def identity_of(jobs, method):
    return next(jobs.steps.run(run) for run in table_runs(jobs.profile, "table1") if run.method == method).identity


def flops_of(jobs, method, images=IMAGES, **scale):
    return run_work(identity_of(jobs, method), images, **scale).pixels


def test_a_matrix_product_is_two_operations_per_element_and_one_kernel():
    import torch

    assert operations(lambda: torch.ones(3, 5) @ torch.ones(5, 7)).pixels == 2 * 3 * 5 * 7
    one, two = (operations(lambda n=n: [torch.ones(2).add_(1) for _ in range(n)]).calls for n in (1, 2))
    assert two == 2 * one


def test_methods_cost_what_their_docstrings_say(tmp_path):
    """Beside a Cross-Entropy step, without the scores: MLC 8/3, MSLC 10/3 in the half that corrects."""
    jobs, unscored = jobs_of(tmp_path), IMAGES._replace(test=0)
    plain = flops_of(jobs, "cross-entropy", unscored)
    assert flops_of(jobs, "mlc", unscored) / plain == pytest.approx(8 / 3, rel=0.1)
    assert flops_of(jobs, "mslc", unscored) / plain == pytest.approx((1 + 10 / 3) / 2, rel=0.1)
    assert flops_of(jobs, "emlc-k5", unscored) / plain == pytest.approx(3.07, rel=0.15)


def test_an_epoch_whose_steps_are_not_known_before_they_are_taken_is_walked(tmp_path):
    """DivideMix warms two networks up, one after the other."""
    jobs, unscored = jobs_of(tmp_path), IMAGES._replace(test=0)
    two = [flops_of(jobs, method, unscored) for method in ("cross-entropy", "dividemix")]
    assert two[1] == pytest.approx(2 * two[0], rel=1e-9)
    divided = {**identity_of(jobs, "dividemix"), "options": {"warm_up": 0.25}, "model": TINY}
    assert walked(divided, 0, SMALL.batch) == 20
    assert 2 <= walked(divided, 3, SMALL.batch) <= 38  # in two turns, over 2 to 38 of 40 samples by twos
    assert walked(identity_of(jobs, "emlc-k5"), 0, SMALL.batch) == 2


def test_work_grows_with_images_pixels_and_epochs_and_kernels_with_steps(tmp_path):
    jobs = jobs_of(tmp_path)
    base = run_work(identity_of(jobs, "cross-entropy"), IMAGES)
    twice = run_work(identity_of(jobs, "cross-entropy"), Images(2400, 600, 8))
    larger = run_work(identity_of(jobs, "cross-entropy"), Images(1200, 300, 16))
    longer = run_work(identity_of(jobs_of(tmp_path, epochs=8), "cross-entropy"), IMAGES)
    halved = run_work(identity_of(jobs_of(tmp_path, batch_size=6), "cross-entropy"), IMAGES)
    assert [work.pixels / base.pixels for work in (twice, larger, longer, halved)] == pytest.approx([2, 4, 2, 1])
    assert larger.calls == base.calls
    assert halved.calls == pytest.approx(2 * base.calls, rel=0.01)


def test_small_images_tell_the_arithmetic_of_larger_ones(tmp_path):
    jobs, images = jobs_of(tmp_path), Images(1200, 300, 16)
    small, large = (flops_of(jobs, "mlc", images, scale=Scale(4, side)) for side in (8, 16))
    assert small == pytest.approx(large, rel=0.05)


def test_a_pretraining_is_two_views_of_every_image_in_every_epoch(tmp_path):
    jobs = jobs_of(tmp_path)
    encoder = jobs.steps.encoder("digits").identity
    work, unscored = pretraining_work(encoder, IMAGES), IMAGES._replace(test=0)
    plain = flops_of(jobs, "cross-entropy", unscored)
    assert work.pixels / plain == pytest.approx(2 * 3 / TRAINING["epochs"], rel=0.1)
    assert pretraining_work(encoder, IMAGES._replace(training=2400)).pixels == pytest.approx(2 * work.pixels)


def test_epochs_are_sampled_from_equal_parts():
    assert sampled_epochs(3) == [0, 1, 2]
    assert sampled_epochs(120) == [7, 22, 37, 52, 67, 82, 97, 112]


def test_phases_of_a_run_are_found_without_a_look_at_every_epoch():
    looked_at = []

    def work_of(epoch):
        looked_at.append(epoch)
        return Work(1.0 if epoch < 5 else 3.0, 0.0)

    assert [work.pixels for work in between(range(8), work_of)] == [1, 1, 1, 1, 1, 3, 3, 3]
    assert len(looked_at) == len(set(looked_at))
    looked_at.clear()
    assert between(range(6, 14), work_of) == [Work(3.0, 0.0)] * 8
    assert sorted(looked_at) == [6, 10, 13]


def loops(machine="NVIDIA H100", precision="float32", **changes):
    about = {"machine": machine, "precision": precision, "model": "resnet34", "batch": 128}
    speeds = {name: {"suite": values} for name, values in (("A", [90.0, 100.0, 110.0]), ("B", [10.0, 20.0, 30.0]))}
    return {"about": about, "images_per_second": speeds, "flops_per_image": {"A": 2e9, "B": 5e9}} | changes


def test_a_benchmark_tells_the_rate_of_its_loops(tmp_path):
    (tmp_path / "recorded" / "h100").mkdir(parents=True)
    file = tmp_path / "recorded" / "h100" / "loops.json"
    file.write_text(json.dumps(loops()))
    (tmp_path / "recorded" / "table.json").write_text('{"profile": "x"}')
    (found,) = read_loops([tmp_path / "recorded"])
    assert (found.machine, found.precision, found.on_gpu) == ("NVIDIA H100", "float32", True)
    assert found.rate.flops == (100 * 2e9 + 20 * 5e9) / 2
    assert found.rate.about == "counted arithmetic at the rate of loops.json (resnet34, batch 128, NVIDIA H100)"
    assert read_loops([file]) == [found]
    with pytest.raises(SuiteError, match=r"table\.json is no record of training loops; python -m pipelines\.bench"):
        read_loops([tmp_path / "recorded" / "table.json"])


def test_a_device_s_own_rate_goes_before_another_gpu_s_and_that_before_the_stated_one():
    known = [
        Measured(machine, precision, Rate(flops, 0.0, machine))
        for machine, precision, flops in [("A100", "float32", 1.0), ("H100", "float32", 2.0), ("H100", "tf32", 3.0)]
    ]
    assert rate_for("H100", True, "float32", known).flops == 2.0
    assert rate_for("H100", True, "tf32", known).flops == 3.0
    assert rate_for("cuda (none on this machine)", True, "float32", known).flops == 1.0
    stated = rate_for("H100", True, "bfloat16", known)
    assert (stated.flops, stated.kernel_seconds) == (GPU_FLOPS, KERNEL_SECONDS)
    assert stated.about == "counted arithmetic at 10 TFLOP/s, 5 µs per kernel (stated)"
    assert rate_for("cpu (x86_64)", False, "float32", known).flops == CPU_FLOPS


def test_a_device_computes_while_the_host_starts_what_comes_next():
    assert Rate(100.0, 0.5, "").seconds(flops=200.0, kernels=2) == 2.0
    assert Rate(100.0, 0.5, "").seconds(flops=200.0, kernels=10) == 5.0


def test_clocks_divide_or_time_and_share_the_start_of_a_process(tmp_path):
    jobs = jobs_of(tmp_path)
    order = next(jobs.steps.run(run) for run in table_runs(jobs.profile, "table1") if run.method == "cross-entropy")
    work = run_work(order.identity, IMAGES)
    known = [Measured("NVIDIA H100", "float32", Rate(1e9, 0.0, "measured"))]
    there = Clock("NVIDIA H100", on_gpu=True, at_hand=False, measured=known, seeds_per_job=5).run(order, IMAGES)
    assert there == (pytest.approx(work.pixels / 1e9 + STARTUP_SECONDS / 5), "measured")
    here = Clock("cpu (x86_64)", on_gpu=False, at_hand=True).run(order, IMAGES)
    assert here.how == "steps timed here, on one core"
    assert here.seconds > STARTUP_SECONDS


def test_a_plan_says_how_it_knows(tmp_path):
    jobs = jobs_of(tmp_path)
    clock = Clock("cuda (none on this machine)", on_gpu=True, at_hand=False)
    items = plan(jobs, Times(clock.device, {}, clock))
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in as_markdown(items).splitlines()[2:]]
    assert {row[-1] for row in rows if row[0] in ("pretrain", "train")} == {
        "counted arithmetic at 10 TFLOP/s, 5 µs per kernel (stated)"
    }
    assert all("unknown" not in cell for row in rows for cell in row)


def test_images_are_those_of_the_data_sets():
    paper, small = (load_profile([ROOT / "config" / f"{name}.yaml"]) for name in ("paper", "cifar10-small"))
    assert images_of(paper, "cifar100", ROOT) == Images(50_000, 10_000, 32)
    assert images_of(small, "cifar10-jpeg", ROOT) == Images(10_000, 5_000, 32)
    assert images_of(load_profile(), "digits", ROOT) == Images(1_437, 360, 8)


@pytest.mark.parametrize("name", ["resnet18", "resnet18-imagenet"])
def test_images_are_looked_at_no_smaller_than_the_network_can_halve_them(tmp_path, name):
    """Those that are one pixel before the last stage make it count too much."""
    jobs, images = jobs_of(tmp_path), Images(training=1200, test=0, side=64)
    first = next(jobs.steps.run(run) for run in table_runs(jobs.profile, "table1") if run.method == "cross-entropy")
    order = replace(first, identity={**first.identity, "model": {"name": name, "width": 16}})
    clock = Clock("GPU", on_gpu=True, at_hand=False, measured=[Measured("GPU", "float32", Rate(1.0, 0.0, "one"))])
    direct = run_work(order.identity, images, scale=Scale(4, 64)).pixels
    assert clock.run(order, images).seconds == pytest.approx(direct, rel=1e-3)  # the classifier sees no pixels
