"""Cross-Entropy and Clean only are SGD on one batch, by hand."""

import copy
import dataclasses

import pytest
import torch
from torch.nn import functional as F

from baselines.clean_only import CleanOnly
from baselines.cross_entropy import CrossEntropy
from emlc.engine.contract import Batch, Stream, Training
from emlc.models import build_model
from tests.settings import make_setting

TRAINING = Training(epochs=2, batch_size=6, lr=0.2, momentum=0.9, weight_decay=0.05, milestones=(1,), decay=0.5)


def make_method(cls):
    roles = []

    def build(role):
        roles.append(role)
        return build_model("cnn-small", 3, 1, torch.Generator().manual_seed(1), width=2).double()

    method = cls(make_setting(build, TRAINING, 3, torch.zeros(6, dtype=torch.int64)), cls.Options())
    assert roles == ["student"]
    method.begin_epoch(1)
    return method


def make_batch(seed, size):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(size, 1, 8, 8, generator=generator, dtype=torch.float64)
    return Batch((inputs,), torch.randint(3, (size,), generator=generator), torch.arange(size))


@pytest.mark.parametrize(("cls", "used"), [(CrossEntropy, 0), (CleanOnly, 1)])
def test_three_steps_by_hand(cls, used):
    method = make_method(cls)
    student = copy.deepcopy(method.student)
    velocity = [torch.zeros_like(value) for value in student.parameters()]
    for seed in range(3):
        batches = make_batch(seed, 6), make_batch(100 + seed, 4)
        inputs, labels = batches[used].inputs, batches[used].labels
        loss = -student(inputs).log_softmax(1)[torch.arange(len(labels)), labels].mean()
        gradients = torch.autograd.grad(loss, tuple(student.parameters()))
        for value, gradient, buffer in zip(student.parameters(), gradients, velocity, strict=True):
            buffer.mul_(0.9).add_(gradient + 0.05 * value.detach())
            value.data.sub_(0.1 * buffer)
        metrics = method.learn(*batches)
        torch.testing.assert_close(metrics, {"student_loss": loss.detach()}, rtol=1e-10, atol=0)
        assert not metrics["student_loss"].requires_grad
    torch.testing.assert_close(dict(method.student.state_dict()), dict(student.state_dict()), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("cls", "other"), [(CrossEntropy, 1), (CleanOnly, 0)])
def test_the_other_batch_does_not_matter(cls, other):
    states = []
    for seed in (0, 1):
        method = make_method(cls)
        batches = [make_batch(7, 6), make_batch(8, 4)]
        batches[other] = make_batch(100 + seed, 5)
        method.learn(*batches)
        states.append(method.student.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_neither_has_options_or_wishes():
    for cls in (CrossEntropy, CleanOnly):
        assert dataclasses.fields(cls.Options) == ()
        method = make_method(cls)
        for stream in (method.noisy, method.clean):
            assert (type(stream), stream.largest, stream.views) == (Stream, TRAINING.batch_size, ("weak",))


def test_learning_lowers_the_loss():
    method, batch = make_method(CrossEntropy), make_batch(0, 6)
    losses = [method.learn(batch, batch)["student_loss"] for _ in range(30)]
    assert losses[-1] < 0.2 * losses[0]
    assert F.cross_entropy(method.logits(batch.inputs), batch.labels) < 0.2 * losses[0]
