"""MLC's step as published: -eta <g_w(alpha), grad L(w')> by double backward, its recursion, AMSGrad by hand."""

import copy
import dataclasses

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from baselines.mlc import METHOD, MLC, MetaNet, Options
from emlc.engine.contract import Batch, Stream, Training
from emlc.models import build_model
from emlc.records.errors import SuiteError
from tests.settings import make_setting

CLASSES, LR = 4, 0.1
TRAINING = Training(epochs=2, batch_size=5, lr=0.2, momentum=0.9, weight_decay=0.05, milestones=(1,), decay=0.5)


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def make_method(**options) -> MLC:
    setting = make_setting(
        lambda role: build_model("cnn-small", CLASSES, 1, torch.Generator().manual_seed(1), width=2),
        TRAINING,
        CLASSES,
        torch.zeros(20, dtype=torch.int64),
    )
    method = MLC(setting, Options(**{"teacher_lr": 0.01, "embedding": 3, "hidden": 6} | options))
    method.begin_epoch(1)
    return method


def make_batch(seed: int, size: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(size, 1, 8, 8, generator=generator)
    return Batch((inputs,), torch.randint(CLASSES, (size,), generator=generator), torch.arange(size))


def mean_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return -logits.log_softmax(1)[torch.arange(len(labels)), labels].mean()


def flat(values) -> Tensor:
    return torch.cat([value.flatten() for value in values])


class Reference:
    """One iteration of the paper's algorithm with the released code's clean halves."""

    def __init__(self, method: MLC) -> None:
        self.k, self.skip = method.options.gradient_steps, method.options.skip
        self.student, self.teacher = copy.deepcopy(method.student), copy.deepcopy(method.teacher)
        self.alpha = list(self.teacher.parameters())
        self.velocity = [torch.zeros_like(value) for value in self.student.parameters()]
        self.history = [torch.zeros_like(value) for value in self.alpha]
        self.moments = [[torch.zeros_like(value) for _ in range(3)] for value in self.alpha]
        self.count = self.updates = 0
        self.gammas: list[float] = []

    def soft_labels(self, features: Tensor, labels: Tensor) -> Tensor:
        """q = softmax(W3 tanh(W2 tanh(W1 [h ; e] + b1) + b2) + b3); with skip, gated with the given label."""
        embedding, w1, b1, w2, b2, w3, b3 = self.alpha
        hidden = torch.tanh(torch.cat([features, embedding[labels]], 1) @ w1.T + b1)
        scores = torch.tanh(hidden @ w2.T + b2) @ w3.T + b3
        if not self.skip:
            return scores.exp() / scores.exp().sum(1, keepdim=True)
        gate = 1 / (1 + (-scores[:, CLASSES:]).exp())
        return (1 - gate) * scores[:, :CLASSES].softmax(1) + gate * torch.eye(CLASSES)[labels]

    def clean_gradient(self, params, batch: Batch) -> Tensor:
        names = [name for name, _ in self.student.named_parameters()]
        point = [value.detach().clone().requires_grad_() for value in params]
        buffers = {name: value.clone() for name, value in self.student.named_buffers()}
        logits = functional_call(self.student, {**dict(zip(names, point, strict=True)), **buffers}, (batch.inputs,))
        return flat(torch.autograd.grad(mean_cross_entropy(logits, batch.labels), point))

    def step(self, noisy: Batch, clean: Batch) -> tuple[Tensor, Tensor]:
        middle = len(clean.labels) // 2
        evaluation, training = clean[:middle], clean[middle:]
        weights = list(self.student.parameters())
        before = self.clean_gradient(weights, evaluation)
        features = self.student.features(noisy.inputs)
        log_p = self.student.classifier(features).log_softmax(1)
        soft = self.soft_labels(features.detach(), noisy.labels)
        n, m = len(noisy.labels), len(training.labels)
        loss = (-(soft * log_p).sum() + m * mean_cross_entropy(self.student(training.inputs), training.labels)) / (
            n + m
        )
        gradients = torch.autograd.grad(loss, weights, create_graph=True)
        with torch.no_grad():
            for value, gradient, buffer in zip(weights, gradients, self.velocity, strict=True):
                buffer.mul_(0.9).add_(gradient + 0.05 * value)
        virtual = [value.detach() - LR * buffer for value, buffer in zip(weights, self.velocity, strict=True)]
        after = self.clean_gradient(virtual, evaluation)
        newest = torch.autograd.grad(-(flat(gradients) * LR * after).sum(), self.alpha)
        gamma = (1 - LR) * (after @ before) / (before @ before)
        self.gammas.append(float(gamma))
        self.history = [new + gamma * old for new, old in zip(newest, self.history, strict=True)]
        for value, moved in zip(weights, virtual, strict=True):
            value.data.copy_(moved)
        self.count += 1
        if self.count % self.k == 0:
            self.update_teacher()
        return loss.detach(), evaluation

    def update_teacher(self) -> None:
        """AMSGrad (Reddi et al., ICLR 2018) with Adam's bias corrections; betas 0.9 and 0.999, epsilon 1e-8."""
        self.updates += 1
        first, second = 1 - 0.9**self.updates, 1 - 0.999**self.updates
        with torch.no_grad():
            for value, gradient, (mean, square, largest) in zip(self.alpha, self.history, self.moments, strict=True):
                mean.mul_(0.9).add_(0.1 * gradient)
                square.mul_(0.999).add_(0.001 * gradient**2)
                largest.copy_(torch.maximum(largest, square))
                value -= 0.01 / first * mean / ((largest / second).sqrt() + 1e-8)
        self.history = [torch.zeros_like(value) for value in self.alpha]


def assert_equal(method: MLC, slow: Reference) -> None:
    for fast, reference in ((method.student, slow.student), (method.teacher, slow.teacher)):
        torch.testing.assert_close(dict(fast.state_dict()), dict(reference.state_dict()), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize(("k", "steps"), [(1, 1), (1, 4), (3, 3), (3, 7)])
def test_steps_equal_the_published_algorithm(k, steps, skip):
    method = make_method(gradient_steps=k, skip=skip)
    slow = Reference(method)
    for seed in range(steps):
        noisy, clean = make_batch(seed, 5), make_batch(100 + seed, 7)
        loss, evaluation = slow.step(noisy, clean)
        metrics = method.learn(noisy, clean)
        torch.testing.assert_close(metrics["student_loss"], loss, rtol=1e-9, atol=0)
        objective = F.cross_entropy(copy.deepcopy(method.student)(evaluation.inputs), evaluation.labels).detach()
        torch.testing.assert_close(metrics["meta_objective"], objective, rtol=1e-9, atol=0)
        assert_equal(method, slow)
    assert max(abs(gamma) for gamma in slow.gammas) > 0.1  # else the recursion would hardly be tested


def test_the_teacher_moves_every_k_steps_only():
    method = make_method(gradient_steps=3)
    moved = []
    for seed in range(7):
        before = copy.deepcopy(method.teacher.state_dict())
        method.learn(make_batch(seed, 5), make_batch(100 + seed, 6))
        after = method.teacher.state_dict()
        moved.append(any(not torch.equal(value, after[name]) for name, value in before.items()))
    assert moved == [False, False, True, False, False, True, False]


def test_the_second_half_trains_the_student_and_the_first_half_does_not():
    clean, other = make_batch(1, 6), make_batch(2, 6)
    students = []
    for inputs in (
        clean.inputs,
        torch.cat([other.inputs[:3], clean.inputs[3:]]),
        torch.cat([clean.inputs[:3], other.inputs[3:]]),
    ):
        method = make_method()
        method.learn(make_batch(0, 5), Batch((inputs,), clean.labels, clean.indices))
        students.append(flat(method.student.parameters()).detach())
    assert torch.equal(students[0], students[1])
    assert not torch.allclose(students[0], students[2])


def test_the_teacher_keeps_its_learning_rate():
    method = make_method()
    for epoch in (0, 1):
        method.begin_epoch(epoch)
        assert method.teacher_optimiser.param_groups[0]["lr"] == 0.01
    group = method.teacher_optimiser.param_groups[0]
    assert (group["amsgrad"], group["betas"], group["eps"], group["weight_decay"]) == (True, (0.9, 0.999), 1e-8, 0)


def test_a_teacher_that_waits_for_no_step_is_refused():
    with pytest.raises(SuiteError, match="gradient_steps is 0; it counts student steps and must be at least 1"):
        Options(gradient_steps=0)


def test_the_defaults_are_the_released_command_s():
    assert METHOD is MLC
    expected = {"teacher_lr": 3e-4, "gradient_steps": 1, "embedding": 128, "hidden": 128, "skip": False}
    assert dataclasses.asdict(Options()) == expected
    clean = make_method().clean
    assert (type(clean), clean.largest, clean.views) == (Stream, TRAINING.batch_size, ("weak",))


def test_initial_weights_are_xavier_s_from_the_generator():
    one, same, other = (MetaNet(72, 10, Options(), torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert all(torch.equal(value, same.state_dict()[name]) for name, value in one.state_dict().items())
    assert not torch.equal(one.embedding.weight, other.embedding.weight)
    bound = (6 / (10 + 128)) ** 0.5
    assert 0.95 * bound < one.embedding.weight.abs().max() <= bound
    for layer in one.layers:
        if isinstance(layer, nn.Linear):
            assert float(layer.weight.detach().std()) == pytest.approx((2 / sum(layer.weight.shape)) ** 0.5, rel=0.1)
            assert not layer.bias.any()


def test_building_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    MetaNet(5, CLASSES, Options(), torch.Generator().manual_seed(0))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("skip", [False, True])
def test_soft_labels_are_distributions(skip):
    soft = make_method(skip=skip).teacher(torch.ones(6, 4), torch.tensor([0, 1, 2, 3, 0, 1]))
    torch.testing.assert_close(soft.sum(1), torch.ones(6))
    assert (soft > 0).all()
