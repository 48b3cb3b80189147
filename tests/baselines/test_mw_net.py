"""MW-Net against its equations, written out: explicit virtual step, second-order autograd, finite differences."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from baselines.mw_net import MWNet, Options
from baselines.weight_net import WeightNet
from emlc.engine.contract import Batch, Training
from emlc.models import Backbone, initialise
from tests.baselines.learning import train_on_digits
from tests.settings import make_setting

CLASSES = 3
TRAINING = Training(epochs=4, batch_size=6, lr=0.3, momentum=0.9, weight_decay=5e-2, milestones=(1,), decay=0.5)


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


def make_method(options: Options | None = None) -> MWNet:
    setting = make_setting(lambda role: TinyNet(7), TRAINING, CLASSES, torch.zeros(6, dtype=torch.int64))
    method = MWNet(setting, options or Options(weight_lr=0.02, weight_decay=0.1, hidden=5))
    method.begin_epoch(1)
    return method


def make_batch(seed: int, size: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(size, 1, 5, 5, generator=generator)
    labels = torch.randint(CLASSES, (size,), generator=generator)
    return Batch((inputs,), labels, torch.arange(size))


def weight(theta: list[Tensor], losses: Tensor) -> Tensor:
    """V(l) = sigmoid(W2 relu(W1 l + b1) + b2)."""
    hidden = torch.relu(losses[:, None] @ theta[0].T + theta[1])
    return torch.sigmoid(hidden @ theta[2].T + theta[3])[:, 0]


def sample_losses(student: nn.Module, params: dict[str, Tensor], batch: Batch) -> Tensor:
    log_probabilities = functional_call(student, params, (batch.inputs,)).log_softmax(dim=1)
    return -log_probabilities[torch.arange(len(batch.labels)), batch.labels]


def look_ahead_loss(student: nn.Module, theta: list[Tensor], noisy: Batch, clean: Batch, lr: float) -> Tensor:
    """The clean loss after one plain-SGD step on the weighted noisy loss, differentiable by theta."""
    student = copy.deepcopy(student)
    params = {name: value.detach().requires_grad_() for name, value in student.named_parameters()}
    losses = sample_losses(student, params, noisy)
    loss = (weight(theta, losses.detach()) * losses).mean()
    gradients = torch.autograd.grad(loss, tuple(params.values()), create_graph=True)
    virtual = {name: params[name] - lr * gradient for name, gradient in zip(params, gradients, strict=True)}
    return sample_losses(student, virtual, clean).mean()


def thetas(method: MWNet) -> list[Tensor]:
    return [value.detach().clone().requires_grad_() for value in method.weight_net.parameters()]


def relative_error(values: list[Tensor], expected: list[Tensor]) -> float:
    flat, reference = (torch.cat([value.flatten() for value in group]) for group in (values, expected))
    return float((flat - reference).norm() / reference.norm())


@pytest.mark.usefixtures("_double")
def test_meta_gradient_equals_double_backward_through_the_virtual_step():
    method, noisy, clean = make_method(), make_batch(0, 6), make_batch(1, 5)
    theta = thetas(method)
    objective = look_ahead_loss(method.student, theta, noisy, clean, lr=0.15)
    expected = torch.autograd.grad(objective, theta)
    metrics = method.learn(noisy, clean)
    assert relative_error([value.grad for value in method.weight_net.parameters()], expected) < 1e-8
    torch.testing.assert_close(metrics["meta_objective"], objective.detach(), rtol=1e-10, atol=0)


@pytest.mark.usefixtures("_double")
def test_meta_gradient_equals_central_finite_differences():
    method, noisy, clean = make_method(), make_batch(0, 6), make_batch(1, 5)
    student, theta = copy.deepcopy(method.student), thetas(method)
    method.learn(noisy, clean)
    expected = [torch.zeros_like(value) for value in theta]
    with torch.no_grad():
        for value, derivative in zip(theta, expected, strict=True):
            for place in range(value.numel()):
                sides = [moved_loss(student, theta, value, place, step, noisy, clean) for step in (1e-4, -1e-4)]
                derivative.view(-1)[place] = (sides[0] - sides[1]) / 2e-4
    assert relative_error([value.grad for value in method.weight_net.parameters()], expected) < 1e-5


def moved_loss(
    student: nn.Module, theta: list[Tensor], value: Tensor, place: int, step: float, noisy: Batch, clean: Batch
) -> Tensor:
    value.view(-1)[place] += step
    with torch.enable_grad():
        loss = look_ahead_loss(student, theta, noisy, clean, lr=0.15).detach()
    value.view(-1)[place] -= step
    return loss


@pytest.mark.usefixtures("_double")
def test_three_steps_equal_the_algorithm_by_hand():
    method = make_method()
    student, theta = copy.deepcopy(method.student), thetas(method)
    adam = torch.optim.Adam(theta, lr=0.02, weight_decay=0.1)
    velocity = [torch.zeros_like(value) for value in student.parameters()]
    for seed in range(3):
        noisy, clean = make_batch(seed, 6), make_batch(100 + seed, 5)
        gradients = torch.autograd.grad(look_ahead_loss(student, theta, noisy, clean, lr=0.15), theta)
        for value, gradient in zip(theta, gradients, strict=True):
            value.grad = gradient
        adam.step()
        losses = F.cross_entropy(student(noisy.inputs), noisy.labels, reduction="none")
        loss = (weight(theta, losses).detach() * losses).sum() / 6
        for value, gradient, buffer in zip(
            student.parameters(), torch.autograd.grad(loss, tuple(student.parameters())), velocity, strict=True
        ):
            buffer.mul_(0.9).add_(gradient + 5e-2 * value.detach())
            value.data.sub_(0.15 * buffer)
        method.learn(noisy, clean)
    torch.testing.assert_close(dict(method.student.state_dict()), dict(student.state_dict()), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(list(method.weight_net.parameters()), theta, rtol=1e-9, atol=1e-11, check_dtype=True)


def test_the_weight_net_is_the_formula_and_stops_the_gradient():
    net = WeightNet(100, torch.Generator().manual_seed(0))
    losses = torch.tensor([0.0, 0.7, 5.0], requires_grad=True)
    theta = list(net.parameters())
    assert [tuple(value.shape) for value in theta] == [(100, 1), (100,), (1, 100), (1,)]
    torch.testing.assert_close(net(losses), weight(theta, losses).detach(), check_stride=False)
    net(losses).sum().backward()
    assert losses.grad is None


def test_a_resumed_run_goes_on_as_if_nothing_had_happened():
    straight, resumed = make_method(), make_method()
    straight.learn(make_batch(0, 6), make_batch(1, 5))
    resumed.load_state(copy.deepcopy(straight.state()))
    for method in (straight, resumed):
        method.learn(make_batch(2, 6), make_batch(3, 5))
    assert_same_state(straight.state(), resumed.state())


def assert_same_state(one: dict, other: dict) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=0)


MARGIN = 2.0
"""Points of test accuracy over Cross-Entropy, mean of two seeds. Over seeds 0 to 5 MW-Net gained 9.4, 2.9, 0.9, 3.2,
5.6 and 2.3 (mean 4.1); other vector instruction sets of the CPU moved the mean of seeds 0 and 1 from 6.2 to 4.2."""


def test_learns_to_distrust_high_losses_and_beats_cross_entropy():
    """The weight decay of the embedded profile: at the paper's, 750 steps only drive every weight to one."""
    gains = []
    for seed in (0, 1):
        plain = train_on_digits("baselines.cross_entropy", {}, seed, epochs=15)
        ours = train_on_digits("baselines.mw_net", {"weight_decay": 1e-2}, seed, epochs=15)
        low, high = ours.method.weight_net(torch.tensor([0.1, 5.0])).tolist()
        assert low > high + 0.15
        gains.append(ours.last_five - plain.last_five)
    assert sum(gains) / len(gains) >= MARGIN
