"""The checks pass what is right, the suite's methods and one toy of each kind, and name what is wrong."""

import random
import re
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from baselines.cross_entropy import CrossEntropy, Options
from emlc.engine.checks import CHECKS, check_method
from emlc.engine.trial import ARRAYS, CLASSES, TASK, Trial
from emlc.engine.waits import noted_waits
from tests.tiny import variants

TOYS = ("average", "division", "label_memory", "phases", "views")
RIGHT = {
    **{name: Trial(module, options) for name, (module, options) in variants().items()},
    **{toy: Trial(f"tests.toys.{toy}", {}) for toy in TOYS},
}


SLOW = ("augdesc", "c2d", "famus", "famus last-tensors", "sanm")
"""Most of whose code is checked with DivideMix: with `make chaos`, for time's sake."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.chaos] if name.removeprefix("baselines.") in SLOW else [])
        for name in RIGHT
    ],
)
def test_every_method_of_the_suite_and_every_kind_of_toy_passes(name):
    assert [finding for finding in check_method(RIGHT[name]) if finding.fault] == []


class Right(CrossEntropy):
    Options = Options


class NoMetrics(Right):
    def learn(self, noisy, clean):
        return list(super().learn(noisy, clean))


class Attached(Right):
    def learn(self, noisy, clean):
        return {"student_loss": F.cross_entropy(self.student(noisy.inputs), noisy.labels)}


class NoScalar(Right):
    def learn(self, noisy, clean):
        return {"labels": noisy.labels}


class TooFewLogits(Right):
    def logits(self, inputs):
        return self.student(inputs)[:, 1:]


class WritesLabels(Right):
    def learn(self, noisy, clean):
        self.setting.noisy.labels[noisy.indices] = 0
        return super().learn(noisy, clean)


class LooseOptions(Right):
    Options = dict


class Unsaved(Right):
    def __init__(self, setting, options):
        super().__init__(setting, options)
        self.seen = {1, 2}


class Forgetful(Right):
    """Keeps what decides its steps where no checkpoint looks."""

    def learn(self, noisy, clean):
        metrics = super().learn(noisy, clean)
        vars(self.rule).setdefault("taken", []).append(1)
        return metrics | {"taken": torch.tensor(len(self.rule.taken))}

    def begin_epoch(self, epoch):
        super().begin_epoch(epoch)
        if epoch == 0:
            self.rule = lambda: None


class Restarting(Right):
    """Makes a network of its own while training."""

    def begin_epoch(self, epoch):
        super().begin_epoch(epoch)
        self.peer = self.setting.build("peer")


class Drawing(Right):
    def learn(self, noisy, clean):
        type(self).draw()
        return super().learn(noisy, clean)


class DrawsTorch(Drawing):
    draw = staticmethod(lambda: torch.rand(1))


class DrawsNumpy(Drawing):
    draw = staticmethod(lambda: np.random.rand())


class DrawsPython(Drawing):
    draw = staticmethod(random.random)


class Unseeded(Right):
    count = 0

    def learn(self, noisy, clean):
        type(self).count += 1
        return super().learn(noisy, clean) | {"count": torch.tensor(float(self.count))}


class Boasting(Right):
    learns_from_clean = True


class Secretive(Right):
    def learn(self, noisy, clean):
        return super().learn(clean, clean)


class Waiting(Right):
    def learn(self, noisy, clean):
        metrics = super().learn(noisy, clean)
        self.last = metrics["student_loss"].item()
        return metrics


class Regrouping(Right):
    """Waits in the first step of an epoch alone."""

    def begin_epoch(self, epoch):
        super().begin_epoch(epoch)
        self.fresh = True

    def learn(self, noisy, clean):
        if self.fresh:
            self.fresh = bool(noisy.labels.sum() < 0)
        return super().learn(noisy, clean)


def faults(cls, monkeypatch):
    module = ModuleType("somebody_s_method")
    module.METHOD = cls
    monkeypatch.setitem(sys.modules, "somebody_s_method", module)
    return {check: fault for check, fault in check_method(Trial("somebody_s_method", {}, 2)) if fault}


@pytest.mark.parametrize(
    ("cls", "check", "told"),
    [
        (NoMetrics, "contract", "returns a list, not a dictionary"),
        (Attached, "contract", "student_loss is no detached scalar"),
        (NoScalar, "contract", "labels is no detached scalar"),
        (TooFewLogits, "contract", r"shape \(15, 4\), not \(15, 5\)"),
        (WritesLabels, "contract", "given labels of the noisy set are written to"),
        (LooseOptions, "contract", "Options is no frozen dataclass"),
        (dict, "contract", "METHOD is no subclass"),
        (Unsaved, "resume", "attribute seen is a set"),
        (Forgetful, "resume", "rule"),
        (Restarting, "resume", "attribute peer was made while training"),
        (DrawsTorch, "global randomness", "global generator of torch"),
        (DrawsNumpy, "global randomness", "global generator of numpy"),
        (DrawsPython, "global randomness", "global generator of random"),
        (Unseeded, "determinism", r"epoch 0, step 0: count \d+\.0, \d+\.0"),
        (Boasting, "clean labels", "change nothing that is learned: say learns_from_clean = False"),
        (Secretive, "clean labels", "change what is learned: say learns_from_clean = True"),
        (Waiting, "host synchronisation", r"10 of 10 steps of epoch 0 .*test_checks\.py:\d+: local_scalar_dense"),
    ],
)
def test_what_is_wrong_is_named(cls, check, told, monkeypatch):
    found = faults(cls, monkeypatch)
    assert re.search(told, found[check])


@pytest.mark.parametrize("cls", [Right, Regrouping])
def test_what_is_right_is_not(cls, monkeypatch):
    assert faults(cls, monkeypatch) == {}


def test_a_breach_of_the_contract_ends_the_checks():
    assert [finding.check for finding in check_method(Trial("tests.toys", {}))] == ["contract"]
    assert [finding.check for finding in check_method(Trial("tests.toys.average", {}, 1))] == list(CHECKS)


def test_the_global_generators_are_left_alone():
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    CHECKS["global randomness"](Trial("tests.toys.average", {}, 1))
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


WAITS = {
    "item": lambda values, mask: values.sum().item(),
    "bool": lambda values, mask: bool(mask.any()),
    "float": lambda values, mask: float(values[0]),
    "tolist": lambda values, mask: values.tolist(),
    "numpy": lambda values, mask: values.numpy(),
    "cpu": lambda values, mask: values.cpu(),
    "print": lambda values, mask: str(values),
    "mask": lambda values, mask: values[mask],
    "put": lambda values, mask: values.clone().index_put_((mask,), values[:3]),
    "nonzero": lambda values, mask: mask.nonzero(),
    "where": lambda values, mask: torch.where(mask),
    "unique": lambda values, mask: values.unique(),
    "equal": lambda values, mask: torch.equal(values, values),
    "one_hot": lambda values, mask: F.one_hot(values.long()),
}
FREE = {
    "where": lambda values, mask: torch.where(mask, values, 0.0),
    "masked": lambda values, mask: values.masked_fill(mask, 0.0),
    "put": lambda values, mask: values.clone().index_put_((mask,), torch.tensor(0.0)),
    "index": lambda values, mask: values[mask.long()],
    "one_hot": lambda values, mask: F.one_hot(values.long(), 5),
    "shape": lambda values, mask: len(values) + values.numel(),
    "sort": lambda values, mask: values.topk(2).values.sort().values,
}


@pytest.mark.parametrize("name", WAITS)
def test_a_wait_is_found_with_its_place(name):
    values, mask = torch.arange(4.0), torch.tensor([True, True, False, True])
    with noted_waits() as places:
        WAITS[name](values, mask)
    assert places
    assert all("test_checks.py:" in place for place in places)


@pytest.mark.parametrize("name", FREE)
def test_what_does_not_wait_is_not_found(name):
    values, mask = torch.arange(4.0), torch.tensor([True, True, False, True])
    with noted_waits() as places:
        FREE[name](values, mask)
    assert places == []


def test_optimisers_may_count_their_steps():
    weight = torch.ones(3, requires_grad=True)
    optimiser = torch.optim.Adam([weight], foreach=False)
    weight.sum().backward()
    with noted_waits() as places:
        optimiser.step()
    assert places == []


def test_the_trial_s_task():
    assert (len(TASK.noisy_labels), len(TASK.clean_labels), ARRAYS.num_classes) == (65, 15, CLASSES)
