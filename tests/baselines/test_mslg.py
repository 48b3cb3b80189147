"""MSLG against numbers and a double backward pass written from its equations."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from baselines.mslg import MSLG, Options
from emlc.engine.contract import Batch, Training
from emlc.metagrad.tape import Tape
from emlc.records.errors import SuiteError
from tests.baselines.networks import TinyNet
from tests.baselines.patterns import cross_entropy, learn
from tests.settings import make_setting

CLASSES = 3
LABELS = torch.tensor([0, 1, 2, 1, 0, 2])
TRAINING = Training(epochs=4, batch_size=3, lr=0.3, momentum=0.9, weight_decay=5e-2)
SMALL = Options(warm_up=0.25, label_lr=200.0, entropy_weight=0.7)


@pytest.fixture
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def make_method(options: Options = SMALL) -> MSLG:
    return MSLG(make_setting(lambda role: TinyNet(7, CLASSES), TRAINING, CLASSES, LABELS), options)


def make_batch(seed: int, indices: list[int]) -> Batch:
    chosen = torch.tensor(indices)
    images = torch.randn(len(chosen), 1, 5, 5, generator=torch.Generator().manual_seed(seed))
    return Batch((images,), LABELS[chosen], chosen)


@pytest.mark.usefixtures("_double")
def test_the_label_gradient_is_the_worked_example():
    """A linear student on two unit vectors."""
    method = make_method()
    method.student = nn.Linear(2, 3, bias=False)
    method.student.weight.data = torch.tensor([[0.2, -0.1, 0.0], [0.0, 0.3, -0.2]]).T.contiguous()
    clean = Batch((torch.tensor([[1.0, 1.0], [1.0, -1.0]]),), torch.tensor([0, 2]), torch.arange(2))
    tape = Tape(method.student)
    with tape:
        logits = method.student(torch.eye(2))
    labels = 10 * torch.eye(3)[:2]
    inner = divergence(logits, labels)
    (slope,) = torch.autograd.grad(inner, tuple(method.student.parameters()), retain_graph=True)
    ahead = F.cross_entropy(clean.inputs @ (method.student.weight - 0.5 * slope).T, clean.labels)
    assert inner.item() == pytest.approx(1.610887, abs=1e-6)
    assert ahead.item() == pytest.approx(0.978925, abs=1e-6)
    gradient = method.label_gradient(tape, logits, labels, clean)
    expected = torch.tensor([[-0.001428, 0.006973, -0.005545], [-0.014169, 0.004863, 0.009306]])
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-5)


def divergence(logits: Tensor, vectors: Tensor) -> Tensor:
    p, y = logits.softmax(1), vectors.softmax(1)
    return (p * (p / y).log()).sum() / (len(p) * CLASSES)


@pytest.mark.usefixtures("_double")
def test_warm_up_and_two_epochs_of_correction_equal_the_algorithm_by_hand():
    method = make_method()
    student, vectors = copy.deepcopy(method.student), 10 * torch.eye(CLASSES)[LABELS]
    velocity = [torch.zeros_like(value) for value in student.parameters()]
    for epoch in range(3):
        method.begin_epoch(epoch)
        for number, indices in enumerate([[5, 1, 4], [2, 0, 3]]):
            noisy, clean = make_batch(2 * epoch + number, indices), make_batch(50 + number, [0, 1, 2, 3])
            if epoch:
                vectors[indices] -= 200 * meta_gradient(student, noisy, clean, vectors[indices])
            logits = student(noisy.inputs)
            p = logits.softmax(1)
            soft = divergence(logits, vectors[indices]) - 0.7 * (p * p.log()).sum() / (3 * CLASSES)
            loss = soft if epoch else F.cross_entropy(logits, noisy.labels)
            gradients = torch.autograd.grad(loss, tuple(student.parameters()))
            for value, gradient, buffer in zip(student.parameters(), gradients, velocity, strict=True):
                buffer.mul_(0.9).add_(gradient + 5e-2 * value.detach())
                value.data.sub_(0.3 * buffer)
            metrics = method.learn(noisy, clean)
            torch.testing.assert_close(metrics["student_loss"], loss.detach(), rtol=1e-8, atol=0)
            torch.testing.assert_close(method.label_logits, vectors, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(dict(method.student.state_dict()), dict(student.state_dict()), rtol=1e-8, atol=1e-10)
    assert not torch.equal(vectors, 10 * torch.eye(CLASSES)[LABELS])


def meta_gradient(student: nn.Module, noisy: Batch, clean: Batch, vectors: Tensor) -> Tensor:
    """Second-order autograd through one virtual step of 0.5."""
    student, own = copy.deepcopy(student), vectors.clone().requires_grad_()
    params = {name: value.detach().requires_grad_() for name, value in student.named_parameters()}
    inner = divergence(functional_call(student, params, (noisy.inputs,)), own)
    gradients = torch.autograd.grad(inner, tuple(params.values()), create_graph=True)
    virtual = {name: params[name] - 0.5 * gradient for name, gradient in zip(params, gradients, strict=True)}
    return torch.autograd.grad(F.cross_entropy(functional_call(student, virtual, (clean.inputs,)), clean.labels), own)[
        0
    ]


@pytest.mark.parametrize("options", [{"warm_up": 1.5}, {"virtual_lr": 0.0}, {"label_lr": -1.0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(SuiteError, match=next(iter(options))):
        Options(**options)


MARGIN = 8.0
"""Points of test accuracy over Cross-Entropy, mean of two seeds: over seeds 0 to 2 MSLG gained 15.9, 19.9 and 20.1."""
BY_LABELS = 4.0
"""The same over an MSLG whose labels stay as given, which gains too (6.1, 8.9 and 6.8): its loss is a milder one."""


def test_learns_more_than_cross_entropy_and_by_its_labels():
    accuracies, fixed = (
        [learn("baselines.mslg", options, seed).accuracy for seed in (0, 1)] for options in ({}, {"label_lr": 1e-6})
    )
    assert sum(accuracies) - cross_entropy(0) - cross_entropy(1) >= 2 * MARGIN
    assert sum(accuracies) - sum(fixed) >= 2 * BY_LABELS
