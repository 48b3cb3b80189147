"""The benchmark times the same mathematics on both sides of each ratio, and its numbers are what it says they are."""

import json
import math
import multiprocessing
from dataclasses import replace
from functools import partial
from itertools import count, product
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from baselines.mlnt import MLNT
from emlc.metagrad.tape import Tape
from emlc.method import EMLC
from emlc.records.errors import SuiteError
from pipelines.bench import feeds, loops
from pipelines.bench.__main__ import flops_per_batch, main, time_ratios
from pipelines.bench.cases import CASES, PLAIN, Case, Workload
from pipelines.bench.page import markdown
from pipelines.bench.precision import SameSigns, meta_gradient_errors
from pipelines.machine import stopwatch

SMALL = Workload("cnn-small", None, 6, (1, 8, 8), "cpu", "float64", channels_last=False)


def teacher_after_a_step(name: str) -> torch.Tensor:
    method, noisy, clean = SMALL.case(CASES[name])
    method.learn(noisy, clean)
    return torch.cat([parameter.detach().flatten() for parameter in method.teacher.parameters()])


@pytest.mark.parametrize(
    ("fast", "slow"),
    [
        ("EMLC k=1 taped", "EMLC k=1 straightforward"),
        ("EMLC k=5 taped", "EMLC k=5 straightforward"),
        ("EMLC k=5 recomputed", "EMLC k=5 straightforward"),
        ("MLC", "MLC straightforward"),
    ],
)
def test_fast_and_straightforward_compute_the_same_step(fast, slow):
    fast_teacher, slow_teacher = teacher_after_a_step(fast), teacher_after_a_step(slow)
    torch.testing.assert_close(fast_teacher, slow_teacher, rtol=1e-8, atol=1e-10)
    initial = torch.cat([parameter.flatten() for parameter in SMALL.case(CASES[fast])[0].teacher.parameters()])
    assert (fast_teacher - initial).abs().max() > 1e-6


def test_the_clean_half_is_what_the_other_mlc_lacks():
    assert not torch.allclose(
        teacher_after_a_step("MLC straightforward"), teacher_after_a_step("MLC straightforward, no clean half")
    )


def test_arithmetic_agrees_with_the_cost_model():
    """Student 3, clean gradient 3/k, teacher 3 (1 + 1/k) and a Jacobian-vector product of 3 or 2, in forward passes."""
    work = Workload("resnet18", 8, 2, (3, 32, 32), "cpu", "float32", channels_last=True)
    plain = flops_per_batch(work, "plain")
    for k, (way, passes) in product((1, 5), (("straightforward", 9), ("taped", 8))):
        counted = flops_per_batch(work, f"EMLC k={k} {way}") / plain
        assert counted == pytest.approx((passes + 6 / k) / 3, rel=0.02)


def test_float64_has_no_error_and_float32_has_some():
    exact = meta_gradient_errors(SMALL, CASES["EMLC k=2 taped"])
    assert exact.plain < 1e-10
    rounded = meta_gradient_errors(replace(SMALL, precision="float32"), CASES["EMLC k=2 taped"])
    assert 1e-9 < rounded.same_signs < 1e-5
    assert meta_gradient_errors(SMALL, CASES["MLC"]) is None
    assert math.isnan(meta_gradient_errors(SMALL, CASES["EMLC k=2 unrolled"]).same_signs)


@pytest.mark.parametrize("value", [-1e-9, -3.7e-5, -5e-324, 0.0, 2.5])
def test_a_unit_that_is_to_be_open_lets_gradients_and_tangents_through(value):
    layer = nn.Linear(1, 2, bias=False).double()
    layer.weight.data = torch.full((2, 1), value, dtype=torch.float64)
    tape, inputs = Tape(layer), torch.ones(1, 1, dtype=torch.float64)
    with SameSigns([torch.tensor([[True, False]])]), tape:
        output = F.relu(layer(inputs))
    gradient = torch.autograd.grad(output.sum(), layer.weight, retain_graph=True)[0]
    params = {"weight": layer.weight}
    tangent = tape.jvp(output, params, {"weight": torch.tensor([[1.0], [5.0]], dtype=torch.float64)})
    slope = output.detach().softmax(dim=1)[0, 1]
    assert gradient.flatten().tolist() == [1.0, 0.0]
    torch.testing.assert_close(tangent, torch.stack([slope, slope - 1]).unsqueeze(0))


def test_an_inexact_meta_gradient_shows():
    finite_difference = Case(EMLC, {"meta_gradient": "finite-difference"})
    workload = replace(SMALL, precision="float32")
    errors = [meta_gradient_errors(workload, case).plain for case in (finite_difference, CASES["EMLC k=1 taped"])]
    assert errors[0] > 5 * errors[1]


def test_ratios_are_per_noisy_batch_over_the_plain_steps_around(monkeypatch):
    """A clock that says 7 for every plain step and 70 for every other one."""
    names, plain = ["EMLC k=1 taped", "EMLC k=10 taped"], object()
    monkeypatch.setattr(Workload, "step", lambda self, case: plain if case is PLAIN else object())
    monkeypatch.setattr(stopwatch, "seconds", lambda step, device: 7.0 if step is plain else 70.0)
    assert time_ratios(SMALL, names, rounds=4) == {names[0]: [10.0] * 4, names[1]: [1.0] * 4}


def test_page_and_files(tmp_path, capsys):
    arguments = ["--model", "cnn-small", "--batch", "4", "--rounds", "2", "--threads", "1", "--out", str(tmp_path)]
    cases = ["EMLC k=1 taped", "MLC straightforward"]
    assert main([*arguments, "--errors", "--memory", "--cases", *cases]) == 0
    page = (tmp_path / "bench.md").read_text()
    assert capsys.readouterr().out.strip() == page.strip()
    table = pd.read_csv(tmp_path / "bench.csv")
    assert list(table["case"]) == cases
    record = json.loads((tmp_path / "bench.json").read_text())
    for name in cases:
        assert table.set_index("case").loc[name, "time"] == pytest.approx(
            pd.Series(record["ratios"][name]).median(), rel=1e-4
        )
        assert record["peak_bytes"][name] > 2**20
    assert f"{table['time'][0]:.2f} [{table['q25'][0]:.2f}, {table['q75'][0]:.2f}]" in page


def test_emlc_over_mlc_pairs_the_rounds():
    table = pd.DataFrame({"case": ["EMLC k=1 taped", "MLC"], "time": 1.0, "q25": 1.0, "q75": 1.0, "flops": 1.0})
    about = {"model": "m", "width": 8, "batch": 4, "precision": "float32", "channels_last": True, "machine": "cpu"}
    about |= {"threads": 1, "python": "3", "torch": "2", "rounds": 3, "warm_up": 3}
    page = markdown(table, {"EMLC k=1 taped": [1.0, 9.0, 4.0], "MLC": [2.0, 3.0, 4.0]}, about)
    cells = page.split("time over")[1].splitlines()[2].split("|")
    assert [cell.strip() for cell in cells[1:3]] == ["EMLC k=1 taped", "1"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("program", [main, loops.main])
def test_a_missing_gpu_is_one_line(program):
    with pytest.raises(SuiteError, match="PyTorch sees no GPU here; leave out --device cuda"):
        program(["--device", "cuda"])


def test_an_unknown_case_is_one_line():
    with pytest.raises(SuiteError, match="unknown case 'EMLC'; known: MLC; "):
        main(["--cases", "EMLC"])


def test_whole_loops_are_timed_and_recorded(tmp_path, capsys):
    arguments = ["--model", "resnet18", "--width", "8", "--batch", "4", "--threads", "1", "--workers", "1"]
    loops_of_interest = ["Cross-Entropy", "EMLC k=5"]
    short = ["--rounds", "2", "--updates", "3", "--loops", *loops_of_interest, "--out", str(tmp_path)]
    assert loops.main([*arguments, *short]) == 0
    record = json.loads((tmp_path / "loops.json").read_text())
    assert record["flops_per_image"]["EMLC k=5"] / record["flops_per_image"]["Cross-Entropy"] == pytest.approx(
        (8 + 6 / 5) / 3, rel=0.02
    )
    for loop in loops_of_interest:
        speeds = record["images_per_second"][loop]
        assert all(speed > 1 for kind in ("suite", "straightforward") for speed in speeds[kind])
    assert record["matmul_flops_per_second"] > 1e8
    assert capsys.readouterr().out.strip() == (tmp_path / "loops.md").read_text().strip()


def test_no_loader_works_on_beside_the_next_loop(monkeypatch):
    beside = []

    def speed(workload, method, feed, updates, warm_up):
        beside.append(len(multiprocessing.active_children()))
        next(feed)
        return 1.0

    monkeypatch.setattr(loops, "images_per_second", speed)
    loops.measure(replace(SMALL, precision="float32", image=(3, 8, 8)), ["MLC", "Cross-Entropy"], 2, 1, workers=1)
    assert beside == [0] * 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--rounds", "0"], "--rounds is 0"), (["--precision", "float64"], "float32, tf32 or bfloat16")],
)
def test_loops_that_cannot_be_timed_are_refused(arguments, message):
    with pytest.raises(SuiteError, match=message):
        loops.main(arguments)


def test_what_bfloat16_cannot_compute_is_left_out_and_named(capsys):
    arguments = ["--model", "cnn-small", "--batch", "4", "--rounds", "1", "--threads", "1", "--precision", "bfloat16"]
    assert main([*arguments, "--cases", "EMLC k=1 taped", "EMLC k=1 straightforward", "EMLC k=1 MLC recursion"]) == 0
    page = " ".join(capsys.readouterr().out.split())
    assert "left out: EMLC k=1 straightforward, EMLC k=1 MLC recursion." in page
    assert page.count("| EMLC k=1 taped") == 1


def test_every_case_computes_in_the_precisions_it_names():
    for name, case in CASES.items():
        if name.startswith(("EMLC k=2", "MLC", "MW-Net")) and case.computes_in("bfloat16"):
            method, noisy, clean = replace(SMALL, precision="bfloat16").case(case)
            method.learn(noisy, clean)


MLNT_AT_ONCE = Case(MLNT, {"pretrain_epochs": 0, "num_fast": 2})


@pytest.mark.parametrize(
    "case",
    [CASES[name] for name in CASES if name.startswith(("EMLC k=2", "MLC", "MW-Net"))] + [PLAIN, MLNT_AT_ONCE],
    ids=repr,
)
def test_both_layouts_take_the_same_steps(case):
    """A gradient assigned in another layout than its parameter's would pair the wrong elements."""
    ends = []
    for channels_last in (False, True):
        work = Workload("resnet18", 8, 4, (3, 8, 8), "cpu", "float64", channels_last)
        method, noisy, clean = work.case(case)
        for _ in range(2):
            method.learn(noisy, clean)
        ends.append(torch.cat([parameter.detach().flatten() for parameter in method.student.parameters()]))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-6, atol=1e-9)


def test_images_per_second_count_every_noisy_image_once(monkeypatch):
    """Seven updates take two steps of a k=5 loop, that is ten batches of six images; a clock says they took 3 s."""
    monkeypatch.setattr(stopwatch, "seconds", lambda work, device: work() or 3.0)
    taken = []
    method = SimpleNamespace(noisy=SimpleNamespace(size=30), learn=lambda noisy, clean: taken.append((noisy, clean)))
    feed = ((number, -number) for number in count())
    assert loops.images_per_second(SMALL, method, feed, updates=7, warm_up=3) == 10 * 6 / 3
    assert taken == [(number, -number) for number in range(5)]


@pytest.mark.parametrize("auto", [False, True])
def test_both_feeds_give_batches_of_the_same_shapes(auto):
    work = replace(SMALL, precision="float32", image=(3, 16, 16))
    clean = SimpleNamespace(size=6, views=("auto" if auto else "weak",))
    method = SimpleNamespace(noisy=SimpleNamespace(size=18), clean=clean)
    for batches in (partial(feeds.resident, work), partial(feeds.per_image, work, 0)):
        noisy, clean = next(feeds.pairs(batches, method))
        assert (noisy.inputs.shape, clean.inputs.shape) == ((18, 3, 16, 16), (6, 3, 16, 16))
        assert (noisy.labels.shape, noisy.indices.shape) == ((18,), (18,))
        assert noisy.inputs.dtype == torch.float32
        assert -2 <= float(noisy.inputs.min()) < -1.5 < 1.5 < float(noisy.inputs.max()) <= 2
