"""MSLC against its equations, written out slowly: mixing by hand, explicit virtual step, label memory by hand."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from baselines.cross_entropy import CrossEntropy
from baselines.cross_entropy import Options as NoOptions
from baselines.mslc import MSLC, LabelMemory, Options
from emlc.engine.contract import Batch, Method, Setting, Training
from emlc.models import Backbone, initialise
from emlc.records.errors import SuiteError
from tests import settings
from tests.baselines.learning import train_on_digits

CLASSES, SAMPLES, SIZE = 3, 7, 3
LABELS = torch.tensor([0, 1, 2, 1, 0, 2, 1])
TRAINING = Training(epochs=6, batch_size=SIZE, lr=0.3, momentum=0.9, weight_decay=5e-2, milestones=(3,), decay=0.5)
SMALL = Options(warm_up=0.5, memory_epochs=2, mixing_lr=0.02, weight_decay=0.1, hidden=5)
SWITCH = 3

OBJECTIVES = pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])


class TinyNet(Backbone):
    def __init__(self, seed: int) -> None:
        super().__init__()
        self.feature_dim = 4
        self.conv = nn.Conv2d(1, 4, 3, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.classifier = nn.Linear(4, CLASSES)
        initialise(self, torch.Generator().manual_seed(seed))

    def features(self, images: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(images))).mean((2, 3))


@pytest.fixture
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def make_setting(training: Training = TRAINING) -> Setting:
    return settings.make_setting(lambda role: TinyNet(7), training, CLASSES, LABELS)


def make_batch(seed: int, indices: list[int]) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.tensor(indices)
    return Batch((torch.randn(len(chosen), 1, 5, 5, generator=generator),), LABELS[chosen], chosen)


def make_corrector(options: Options) -> tuple[MSLC, Tensor]:
    """A method in its first epoch of correction, with soft labels that nothing else could produce."""
    method = MSLC(make_setting(), options)
    soft = torch.rand(SAMPLES, CLASSES, generator=torch.Generator().manual_seed(9)).softmax(dim=1)
    method.memory.write(torch.arange(SAMPLES), soft)
    method.memory.end_epoch()
    method.begin_epoch(SWITCH)
    return method, soft


def coefficient(theta: list[Tensor], losses: Tensor) -> Tensor:
    """sigmoid(W2 relu(W1 l + b1) + b2), [n, 1]."""
    hidden = torch.relu(losses[:, None] @ theta[0].T + theta[1])
    return torch.sigmoid(hidden @ theta[2].T + theta[3])


def soft_loss(logits: Tensor, labels: Tensor) -> Tensor:
    return -(labels * logits.log_softmax(dim=1)).sum(dim=1)


def soft_objective(logits: Tensor, batch: Batch, soft: Tensor, theta: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The paper's equations: mean CE with the mixed label, and that label."""
    given, previous, prediction = torch.eye(CLASSES)[batch.labels], soft[batch.indices], logits.detach().softmax(1)
    a = coefficient(theta[:4], soft_loss(logits, given).detach())
    b = coefficient(theta[4:], soft_loss(logits, previous).detach())
    mixed = a * given + (1 - a) * (b * previous + (1 - b) * prediction)
    return soft_loss(logits, mixed).mean(), mixed.detach()


def hard_objective(logits: Tensor, batch: Batch, soft: Tensor, theta: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The released code: three weighted losses on classes; the stored label mixes distributions."""
    previous, prediction = soft[batch.indices], logits.detach().softmax(1)
    l1 = F.cross_entropy(logits, batch.labels, reduction="none")
    l2 = F.cross_entropy(logits, previous.argmax(1), reduction="none")
    l3 = F.cross_entropy(logits, logits.argmax(1), reduction="none")
    a, b = coefficient(theta[:4], l1.detach())[:, 0], coefficient(theta[4:], l2.detach())[:, 0]
    loss = (a * l1).mean() + ((1 - a) * b * l2).mean() + ((1 - a) * (1 - b) * l3).mean()
    a, b = a.detach()[:, None], b.detach()[:, None]
    return loss, a * torch.eye(CLASSES)[batch.labels] + (1 - a) * (b * previous + (1 - b) * prediction)


def objective_of(hard: bool):
    return hard_objective if hard else soft_objective


def look_ahead_loss(
    student: nn.Module, theta: list[Tensor], noisy: Batch, clean: Batch, soft: Tensor, lr: float, hard: bool
) -> Tensor:
    """The clean loss after one plain-SGD step, differentiable by theta."""
    student = copy.deepcopy(student)
    params = {name: value.detach().requires_grad_() for name, value in student.named_parameters()}
    loss, _ = objective_of(hard)(functional_call(student, params, (noisy.inputs,)), noisy, soft, theta)
    gradients = torch.autograd.grad(loss, tuple(params.values()), create_graph=True)
    virtual = {name: params[name] - lr * gradient for name, gradient in zip(params, gradients, strict=True)}
    return F.cross_entropy(functional_call(student, virtual, (clean.inputs,)), clean.labels)


def mixing_parameters(method: MSLC) -> list[Tensor]:
    return [*method.alpha.parameters(), *method.beta.parameters()]


def relative_error(values: list[Tensor], expected: list[Tensor]) -> float:
    flat, reference = (torch.cat([value.flatten() for value in group]) for group in (values, expected))
    return float((flat - reference).norm() / reference.norm())


@pytest.mark.usefixtures("_double")
@OBJECTIVES
@pytest.mark.parametrize(("virtual_lr", "used"), [(None, 0.15), (0.4, 0.4)])
def test_meta_gradient_equals_double_backward_through_the_virtual_step(hard, virtual_lr, used):
    method, soft = make_corrector(replace(SMALL, hard_labels=hard, virtual_lr=virtual_lr))
    noisy, clean = make_batch(0, [4, 1, 6, 0, 2]), make_batch(1, [0, 1, 2, 3])
    theta = [value.detach().clone().requires_grad_() for value in mixing_parameters(method)]
    objective = look_ahead_loss(method.student, theta, noisy, clean, soft, used, hard)
    expected = torch.autograd.grad(objective, theta)
    method.learn(noisy, clean)
    assert relative_error([value.grad for value in mixing_parameters(method)], expected) < 1e-8


@pytest.mark.usefixtures("_double")
@OBJECTIVES
def test_meta_gradient_equals_central_finite_differences(hard):
    method, soft = make_corrector(replace(SMALL, hard_labels=hard))
    noisy, clean = make_batch(0, [4, 1, 6, 0, 2]), make_batch(1, [0, 1, 2, 3])
    student = copy.deepcopy(method.student)
    theta = [value.detach().clone() for value in mixing_parameters(method)]
    method.learn(noisy, clean)
    expected = [torch.zeros_like(value) for value in theta]
    for value, derivative in zip(theta, expected, strict=True):
        for place in range(value.numel()):
            sides = []
            for step in (1e-4, -1e-4):
                value.view(-1)[place] += step
                sides.append(look_ahead_loss(student, theta, noisy, clean, soft, 0.15, hard).detach())
                value.view(-1)[place] -= step
            derivative.view(-1)[place] = (sides[0] - sides[1]) / 2e-4
    assert relative_error([value.grad for value in mixing_parameters(method)], expected) < 1e-5


@pytest.mark.usefixtures("_double")
@OBJECTIVES
def test_two_epochs_of_correction_equal_the_algorithm_by_hand(hard):
    method, soft = make_corrector(replace(SMALL, hard_labels=hard))
    student = copy.deepcopy(method.student)
    theta = [value.detach().clone().requires_grad_() for value in mixing_parameters(method)]
    adam = torch.optim.Adam(theta, lr=0.02, weight_decay=0.1)
    velocity = [torch.zeros_like(value) for value in student.parameters()]
    for epoch, batches in ((3, [[4, 1, 6], [0, 2, 3]]), (4, [[5, 1, 0], [6, 4, 2]])):
        method.begin_epoch(epoch)
        stored = soft.clone()
        for number, indices in enumerate(batches):
            noisy, clean = make_batch(10 * epoch + number, indices), make_batch(99 + number, [0, 1, 2, 3])
            objective = look_ahead_loss(student, theta, noisy, clean, soft, 0.15, hard)
            for value, gradient in zip(theta, torch.autograd.grad(objective, theta), strict=True):
                value.grad = gradient
            adam.step()
            loss, labels = objective_of(hard)(student(noisy.inputs), noisy, soft, theta)
            gradients = torch.autograd.grad(loss, tuple(student.parameters()))
            for value, gradient, buffer in zip(student.parameters(), gradients, velocity, strict=True):
                buffer.mul_(0.9).add_(gradient + 5e-2 * value.detach())
                value.data.sub_(0.15 * buffer)
            stored[indices] = labels
            method.learn(noisy, clean)
            torch.testing.assert_close(method.memory.labels, soft)
        soft = stored
        method.end_epoch(epoch)
        torch.testing.assert_close(method.memory.labels, soft, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(dict(method.student.state_dict()), dict(student.state_dict()), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(mixing_parameters(method), theta, rtol=1e-9, atol=1e-11)


def test_the_first_soft_labels_are_the_mean_of_the_last_predictions_of_the_warm_up():
    """Memory of two: epoch 0 is forgotten; 5 is left out once, 3 always."""
    method = MSLC(make_setting(), SMALL)
    seen: dict[int, list[Tensor]] = {index: [] for index in range(SAMPLES)}
    for epoch, batches in enumerate(([[0, 1, 2], [4, 5, 6]], [[6, 5, 0], [1, 2, 4]], [[4, 2, 0], [1, 6]])):
        method.begin_epoch(epoch)
        for number, indices in enumerate(batches):
            noisy = make_batch(10 * epoch + number, indices)
            predictions = copy.deepcopy(method.student)(noisy.inputs).softmax(dim=1).detach()
            method.learn(noisy, make_batch(1, [0, 1]))
            if epoch >= 1:
                for index, prediction in zip(indices, predictions, strict=True):
                    seen[index].append(prediction)
        method.end_epoch(epoch)
    assert [len(seen[index]) for index in range(SAMPLES)] == [2, 2, 2, 0, 2, 1, 2]
    expected = torch.eye(CLASSES)[LABELS]
    for index, predictions in seen.items():
        if predictions:
            expected[index] = torch.stack(predictions).mean(dim=0)
    torch.testing.assert_close(method.memory.labels, expected)


def test_the_warm_up_is_cross_entropy_and_leaves_the_mixing_networks_alone():
    method, plain = MSLC(make_setting(), SMALL), CrossEntropy(make_setting(), NoOptions())
    before = [value.detach().clone() for value in mixing_parameters(method)]
    for epoch in range(SWITCH):
        noisy, clean = make_batch(epoch, [3, 5, 0]), make_batch(50, [0, 1])
        for each in (method, plain):
            each.begin_epoch(epoch)
            each.learn(noisy, clean)
            each.end_epoch(epoch)
    torch.testing.assert_close(dict(method.student.state_dict()), dict(plain.student.state_dict()), rtol=0, atol=0)
    torch.testing.assert_close(mixing_parameters(method), before, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("epochs", "warm_up", "expected"), [(120, 79 / 120, 79), (15, 79 / 120, 10), (15, 0.0, 0), (10, 1.0, 10)]
)
def test_the_warm_up_is_a_share_of_the_epochs(epochs, warm_up, expected):
    training = replace(TRAINING, epochs=epochs)
    assert MSLC(make_setting(training), Options(warm_up=warm_up)).warm_up_epochs == expected


def test_the_warm_up_has_no_alpha_to_tell():
    method = MSLC(make_setting(), SMALL)
    names = []
    for epoch in (SWITCH - 1, SWITCH):
        method.begin_epoch(epoch)
        names.append(list(method.learn(make_batch(epoch, [0, 1, 2]), make_batch(1, [0, 1]))))
    assert names == [["student_loss"], ["student_loss", "mean_alpha"]]


@pytest.mark.parametrize("split", [1, 2, 3, 4])
def test_a_resumed_run_goes_on_as_if_nothing_had_happened(split):
    """Interrupted after any epoch of warm-up or correction."""
    straight, resumed = MSLC(make_setting(), SMALL), MSLC(make_setting(), SMALL)
    train_epochs(straight, range(split))
    resumed.load_state(copy.deepcopy(straight.state()))
    for method in (straight, resumed):
        train_epochs(method, range(split, 6))
    torch.testing.assert_close(straight.state(), resumed.state(), rtol=0, atol=0)


def train_epochs(method: Method, epochs: range) -> None:
    for epoch in epochs:
        method.begin_epoch(epoch)
        for number, indices in enumerate([[6, 1, 4], [2, 5, 3]]):
            method.learn(make_batch(2 * epoch + number, indices), make_batch(70 + epoch, [0, 1, 2]))
        method.end_epoch(epoch)


def test_the_memory_answers_for_every_sample_before_anything_is_written():
    memory = LabelMemory(torch.eye(2))
    memory.end_epoch()
    torch.testing.assert_close(memory.labels, torch.eye(2))


@pytest.mark.parametrize("options", [{"warm_up": 1.5}, {"warm_up": -0.1}, {"memory_epochs": 0}, {"virtual_lr": 0.0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(SuiteError, match=next(iter(options))):
        Options(**options)


MARGIN = 3.0
"""Points of test accuracy over Cross-Entropy, mean of two seeds. Over seeds 0 to 5 MSLC gained 9.2, 4.1, 2.3, 4.1, 9.2
and 4.9 (mean 5.6); other vector instruction sets of the CPU moved the mean of seeds 0 and 1 from 6.6 to 5.3."""


def test_learns_more_than_cross_entropy():
    gains = []
    for seed in (0, 1):
        plain, ours = (train_on_digits(name, {}, seed, 15) for name in ("baselines.cross_entropy", "baselines.mslc"))
        gains.append(ours.last_five - plain.last_five)
    assert sum(gains) / len(gains) >= MARGIN
