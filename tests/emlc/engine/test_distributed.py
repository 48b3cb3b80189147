"""One training by several processes is the training by one: every method that says so, in float64, by gloo."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from emlc.engine import run
from tests.emlc.engine.groups import (
    Case,
    Group,
    alone_in,
    float64,
    history,
    leaves_the_others,
    local_jvp,
    local_tangents,
    names,
    no_hook,
    shards,
    trained,
)
from tests.tiny import implementations

EMLC = "emlc.method"
CASES = {
    "cross-entropy": Case("baselines.cross_entropy"),
    "clean-only": Case("baselines.clean_only"),
    "emlc-k1": Case(EMLC, {"corruption": "random"}),
    "emlc-k5": Case(EMLC, {"look_ahead": 5}, steps=4),
    "emlc-k5 recomputed": Case(EMLC, {"look_ahead": 5, "forward": "recomputed", "corruption": "random"}, steps=4),
    "emlc-k5 momentum": Case(EMLC, {"look_ahead": 5, "meta_gradient": "fpmg-momentum"}, steps=4),
    "emlc-k5 parity": Case(EMLC, {"look_ahead": 5, "meta_scale": "parity"}, steps=4),
    "emlc-k5 differences": Case(EMLC, {"look_ahead": 5, "meta_gradient": "finite-difference"}, steps=4),
    "emlc-k5 mlc": Case(EMLC, {"look_ahead": 5, "meta_gradient": "mlc"}, steps=4),
    "emlc-k5 released": Case(
        EMLC, {"look_ahead": 5, "meta_gradient": "fpmg-released", "clean_statistics": True}, steps=4
    ),
    "emlc-k1 student features": Case(EMLC, {"features": "student"}),
    "mlc-k1": Case("baselines.mlc"),
    "mlc-k3": Case("baselines.mlc", {"gradient_steps": 3}),
    "mw-net": Case("baselines.mw_net"),
    "fasten": Case("baselines.fasten", {"threshold": 0.21}, batch_size=20),
}


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    started = Group(4, tmp_path_factory.mktemp("group"))
    yield started
    started.close()


WHOLE: dict[Any, Any] = {}


def by_one(case):
    """The training of a case by one process, once."""
    key = repr(case)
    if key not in WHOLE:
        with float64():
            WHOLE[key] = trained(case, 1)
    return WHOLE[key]


def difference(one, other):
    """The largest difference between two states of the same names."""
    assert one.keys() == other.keys()
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one if one[name].numel())


def test_every_method_that_says_so_is_among_the_cases():
    said = {name for name in implementations() if vars(run.method_class(name)).get("shared", False)}
    assert said == {case.implementation for case in CASES.values()}


FOUR = ("emlc-k1", "emlc-k5", "mlc-k3")
"""By four processes, too, for time's sake; the others with `make chaos`."""


@pytest.mark.parametrize(
    ("name", "count"),
    [(name, 2) for name in CASES]
    + [pytest.param(name, 4, marks=[] if name in FOUR else pytest.mark.chaos) for name in CASES],
)
def test_synchronised_statistics_make_it_the_training_of_one_process(group, name, count):
    alone = by_one(CASES[name])
    for state in group(count, trained, CASES[name], count):
        assert difference(alone, state) < 1e-12


@pytest.mark.parametrize(
    ("name", "count"),
    [(name, 2) for name in ("cross-entropy", "emlc-k5", "emlc-k5 recomputed", "mlc-k1", "mw-net", "fasten")]
    + [(name, 4) for name in ("emlc-k1", "emlc-k5 parity")],
)
def test_local_statistics_make_it_one_process_that_normalises_shards(group, name, count):
    case = replace(CASES[name], batch_norm="local")
    with float64(), shards(count):
        alone = trained(replace(case, batch_norm="synchronised"), 1)
    for state in group(count, trained, case, count):
        assert difference(alone, state) < 1e-12


LEFT_OUT = {
    "the student's gradient": (
        partial(no_hook, "optimiser"),
        ("cross-entropy", "emlc-k1", "mlc-k1", "mw-net", "fasten"),
    ),
    "the teacher's gradient": (partial(no_hook, "teacher_optimiser"), ("emlc-k1", "emlc-k5")),
    "the weight network's gradient": (partial(no_hook, "weight_optimiser"), ("mw-net",)),
    "the clean feedback": (partial(alone_in, "emlc.metagrad.feedback"), ("emlc-k1", "emlc-k5", "mlc-k1", "mw-net")),
    "the virtual step's gradient": (partial(alone_in, "baselines.weight_net"), ("mw-net",)),
    "the lengths at parity": (partial(alone_in, "emlc.metagrad.meta_scale"), ("emlc-k5 parity",)),
    "the meta-gradient that MLC keeps": (partial(alone_in, "baselines.mlc"), ("mlc-k3",)),
    "the clean feedback with statistics": (partial(alone_in, "emlc.method"), ("emlc-k5 released",)),
    "the draw of corrupted labels": (partial(alone_in, "emlc.teacher"), ("emlc-k1",)),
    "the matrix and the labels": (partial(alone_in, "baselines.fasten"), ("fasten",)),
    "the batch statistics": (partial(alone_in, "emlc.models.batch_norm"), ("cross-entropy",)),
    "the tangents of the batch statistics": (local_tangents, ("emlc-k5",)),
    "the tangents of the batch statistics, recomputed": (local_jvp, ("emlc-k5 recomputed",)),
}
"""What every process keeps to itself -> how, and the trainings that it makes others."""


@pytest.mark.parametrize(
    ("patch", "name"),
    [pytest.param(patch, name, id=f"{what}: {name}") for what, (patch, names) in LEFT_OUT.items() for name in names],
)
def test_every_reduction_is_missed(group, patch, name):
    case = replace(CASES[name], steps=2)
    alone = by_one(case)
    states = group(2, trained, case, 2, patch=patch)
    assert max(difference(alone, state) for state in states) > 1e-7


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (Case("baselines.mlnt"), "baselines.mlnt is not known to be right on several processes"),
        (Case("baselines.mlc_double_backward"), "is not known to be right"),
        (Case(EMLC, {"meta_gradient": "unrolled"}), "meta_gradient unrolled is not known to be right"),
        (Case("baselines.cross_entropy", batch_size=9), "9 samples cannot be shared equally by 2 processes"),
        (Case("baselines.mlc", batch_size=14), "7 samples cannot be shared equally by 2 processes"),
        (Case("baselines.fasten"), "5 samples cannot be shared equally by 2 processes"),
    ],
    ids=lambda value: value.implementation if isinstance(value, Case) else "",
)
def test_what_would_be_another_training_is_refused_in_one_line(group, case, message):
    for answer in group(2, trained, case, 2):
        assert answer.startswith("SuiteError: ")
        assert message in answer


@pytest.mark.parametrize(("batch_norm", "wanted"), [("local", 4), ("synchronised", 1)])
def test_a_training_for_another_number_of_processes_is_refused(group, batch_norm, wanted):
    answers = group(2, trained, Case("baselines.cross_entropy", batch_norm=batch_norm), wanted)
    assert set(answers) == {
        f"SuiteError: 2 processes for a training of {wanted}; use torchrun --nproc-per-node {wanted}, or set processes"
    }


def test_synchronised_statistics_let_fewer_go_on(group):
    case = Case("baselines.cross_entropy", steps=3)
    with float64():
        alone = trained(case, 1)
    assert difference(alone, group(2, trained, case, 4)[1]) < 1e-12


def test_scores_and_metrics_are_those_of_one_process(group, tmp_path):
    case = CASES["emlc-k1"]
    with float64():
        alone = history(case, 1)
    for epochs, steps in group(4, history, case, 4):
        assert [row["test_accuracy"] for row in epochs] == [row["test_accuracy"] for row in alone[0]]
        for rows, twins in ((epochs, alone[0]), (steps, alone[1])):
            assert [list(row) for row in rows] == [list(row) for row in twins]
            assert all(row == pytest.approx(twin, rel=1e-6) for row, twin in zip(rows, twins, strict=True))


@pytest.mark.parametrize("counts", [(2, 2), (4, 2), (2, 1)], ids=str)
def test_a_run_goes_on_from_its_checkpoint_with_another_number(group, tmp_path, counts):
    case, path = CASES["fasten"], tmp_path / "run.pt"
    with float64():
        alone = history(case, 1)
    first, second = counts
    assert set(group(first, history, case, 4, path, 4)) == {
        f"Interrupted: stopped as asked; the next start goes on from {path}"
    }
    if second == 1:
        with float64():
            resumed = [history(case, 4, path)]
    else:
        resumed = group(second, history, case, 4, path)
    for answer in resumed:
        assert answer[1] == [pytest.approx(row, rel=1e-6) for row in alone[1]]


def test_what_one_process_has_come_across_all_of_them_know(group):
    assert group(2, names) == [["0's", "1's", "all's"]] * 2


def test_a_lost_process_is_told_from_an_error(group):
    answers = group(2, leaves_the_others)
    assert answers[1] == "left"
    assert answers[0].startswith("ProcessLost: ")
