"""The fidelity panel: its windows against brute force, its numbers by hand, the whole step in tiny."""

import copy

import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from emlc.metagrad import META_GRADIENTS
from emlc.records.errors import SuiteError
from pipelines.evidence.fidelity import compare
from pipelines.evidence.windows import double, prepared, real_window, train_for
from pipelines.metagrad import make, summarise
from tests.pipelines.evidence import run_of
from tests.pipelines.records import made


@pytest.fixture
def method_and_window(trained):
    method = prepared(trained.steps.run(run_of("emlc-k1")), momentum=0.9)
    train_for(method, 3)
    batches = [double(method.noisy.next()) for _ in range(2)]
    before = copy.deepcopy((dict(method.student.state_dict()), method.optimiser.state_dict()["state"]))
    window = real_window(method, batches, double(method.clean.next()))
    after = dict(method.student.state_dict()), method.optimiser.state_dict()["state"]
    torch.testing.assert_close(after, before, rtol=0, atol=0)  # a copy of the student took the steps
    return method, window


def clean_loss(method, window, moved):
    """The clean loss after the window's steps by a plain optimiser, the soft targets of the first step moved."""
    student = copy.deepcopy(method.student)
    optimiser = torch.optim.SGD(student.parameters(), window.lr, window.momentum, weight_decay=window.weight_decay)
    optimiser.load_state_dict(copy.deepcopy(method.optimiser.state_dict()))
    for position, step in enumerate(window.steps):
        targets = step.soft_targets.detach() + (moved if position == 0 else 0)
        optimiser.zero_grad()
        F.cross_entropy(student(step.inputs), targets).backward()
        optimiser.step()
    return F.cross_entropy(student(window.clean_inputs), window.clean_labels).item()


def test_the_exact_gradient_of_a_window_is_what_a_moved_label_does(method_and_window):
    method, window = method_and_window
    direction = torch.randn(window.steps[0].soft_targets.shape, generator=torch.Generator().manual_seed(0)).double()
    step = 1e-5
    slope = (clean_loss(method, window, step * direction) - clean_loss(method, window, -step * direction)) / (2 * step)
    exact = META_GRADIENTS["unrolled"](window)[0]
    assert (exact * direction).sum().item() == pytest.approx(slope, rel=1e-5)


def test_a_row_of_the_panel_by_hand(method_and_window):
    method, window = method_and_window
    rows = {row["meta_gradient"]: row for row in compare(window, method.teacher)}

    def teacher_gradient(name):
        gradients = META_GRADIENTS[name](window)
        method.teacher.zero_grad()
        pairs = zip(gradients, window.steps, strict=True)
        sum((gradient * step.soft_targets).sum() for gradient, step in pairs).backward(retain_graph=True)
        grads = [value.grad for value in method.teacher.parameters() if value.grad is not None]
        return torch.cat([grad.flatten() for grad in grads])

    exact, other = teacher_gradient("unrolled"), teacher_gradient("fpmg-released")
    row = rows["fpmg-released"]
    assert row["cosine"] == pytest.approx((exact @ other / exact.norm() / other.norm()).item(), rel=1e-9)
    assert row["relative_error"] == pytest.approx(((other - exact).norm() / exact.norm()).item(), rel=1e-9)
    assert row["norm_ratio"] == pytest.approx((other.norm() / exact.norm()).item(), rel=1e-9)
    assert rows["unrolled"]["relative_error"] == 0
    assert rows["fpmg"]["times_fpmg"] == 1


def test_medians_and_quartiles_over_draws():
    rows = pd.DataFrame(
        {"momentum": 0.9, "k": 1, "meta_gradient": "a", "draw": range(3), "cosine": [0.1, 0.9, 0.3], "peak_mib": 2.0}
    )
    rows = rows.assign(label_cosine=0.0, relative_error=0.0, norm_ratio=1.0, times_fpmg=1.0, ms=1.0)
    (row,) = summarise(rows).to_dict("records")
    assert (row["n"], row["cosine"], row["cosine_q1"], row["cosine_q3"]) == (
        3,
        0.3,
        pytest.approx(0.2),
        pytest.approx(0.6),
    )


def test_the_command_writes_every_meta_gradient_and_look_ahead(trained):
    folder = made(trained.pages.fidelity(), make)
    table = pd.read_csv(folder / "metagrad.csv")
    assert len(table) == 2 * 4 * len(META_GRADIENTS)
    assert (table["n"] == 2).all()
    one_step = table.query("k == 1 and meta_gradient != 'finite-difference'")
    assert one_step["relative_error"].max() < 1e-9
    assert table.query("k == 5 and meta_gradient == 'fpmg-released'")["relative_error"].min() > 0.1
    text = (folder / "metagrad.md").read_text()
    assert "## k = 10, momentum 0\n" in text
    assert "L_BCE off on UCI digits, Sym. 50%, cnn-small student from scratch, " in text
    assert f"the call alone, {trained.profile.threads} thread(s)" in text


def test_a_method_without_a_meta_gradient_to_choose_is_refused(trained):
    with pytest.raises(SuiteError, match=r"baselines\.mlc is no EMLC"):
        prepared(trained.steps.run(run_of("mlc")), momentum=0.9)
