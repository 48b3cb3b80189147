"""Small bilevel problems in float64: a student, a teacher, a window of real SGD steps."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from emlc.metagrad import Step, Window, clean_feedback, dual_jvp
from emlc.metagrad.window import Params, logits_at

CLASSES = 4
FEATURES = 6


class MLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(FEATURES, 8)
        self.output = nn.Linear(8, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.output(torch.tanh(self.hidden(inputs)))


class CNN(nn.Module):
    """Convolutions with batch normalisation and a strided residual, on 4x4 images."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.output = nn.Linear(4, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        features = F.relu(self.norm(self.first(inputs)))
        features = features + F.softplus(self.second(features))
        return self.output(F.adaptive_avg_pool2d(features, 1).flatten(1))


class TinyTeacher(nn.Module):
    """Soft labels from the image and the given label."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layer = nn.Linear(dim + CLASSES, CLASSES)

    def forward(self, inputs: Tensor, labels: Tensor) -> Tensor:
        joint = torch.cat([inputs.flatten(1), F.one_hot(labels, CLASSES).to(inputs.dtype)], dim=1)
        return self.layer(joint).softmax(dim=1)


@dataclass
class Scene:
    student: nn.Module
    teacher: nn.Module
    window: Window
    given_labels: tuple[Tensor, ...]

    @property
    def soft_targets(self) -> tuple[Tensor, ...]:
        return tuple(step.soft_targets for step in self.window.steps)

    def teacher_gradient(self, scalar: Tensor) -> Tensor:
        gradients = torch.autograd.grad(scalar, tuple(self.teacher.parameters()), retain_graph=True)
        return torch.cat([gradient.flatten() for gradient in gradients])


def make_scene(
    student: nn.Module,
    k: int,
    lr: float,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    seed: int = 0,
    warm_up: int = 3,
    n: int = 8,
) -> Scene:
    generator = torch.Generator().manual_seed(seed)
    student = student.double().train()
    image = isinstance(student, CNN)

    def draw(parameter: Tensor) -> None:
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.4

    def batch() -> tuple[Tensor, Tensor]:
        shape = (n, 1, 4, 4) if image else (n, FEATURES)
        labels = torch.randint(CLASSES, (n,), generator=generator)
        return torch.randn(shape, generator=generator, dtype=torch.float64), labels

    teacher = TinyTeacher(16 if image else FEATURES).double()
    for parameter in [*student.parameters(), *teacher.parameters()]:
        draw(parameter)
    if image:
        student.norm.weight.data.abs_().add_(0.5)
    optimiser = torch.optim.SGD(student.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay)

    def step(inputs: Tensor, targets: Tensor) -> None:
        optimiser.zero_grad()
        F.cross_entropy(logits_at(student, dict(student.named_parameters()), inputs), targets).backward()
        optimiser.step()

    for _ in range(warm_up):
        inputs, labels = batch()
        step(inputs, teacher(inputs, labels).detach())
    velocity = {name: _velocity(optimiser, value) for name, value in student.named_parameters()}
    steps, given_labels = [], []
    for _ in range(k):
        inputs, labels = batch()
        given_labels.append(labels)
        params = {name: value.detach().clone() for name, value in student.named_parameters()}
        soft_targets = teacher(inputs, labels)
        steps.append(Step(params, inputs, soft_targets, _dual(student, params, inputs)))
        step(inputs, soft_targets.detach())
    clean_inputs, clean_labels = batch()
    final = {name: value.detach().clone() for name, value in student.named_parameters()}
    feedback = clean_feedback(student, final, clean_inputs, clean_labels)[1]
    window = Window(
        student, tuple(steps), final, feedback, clean_inputs, clean_labels, lr, momentum, weight_decay, velocity
    )
    return Scene(student, teacher, window, tuple(given_labels))


def _velocity(optimiser: torch.optim.SGD, value: Tensor) -> Tensor:
    state = optimiser.state[value]
    return state["momentum_buffer"].clone() if state.get("momentum_buffer") is not None else torch.zeros_like(value)


def _dual(student: nn.Module, params: Params, inputs: Tensor):
    return lambda direction: dual_jvp(student, params, inputs, direction)


def relative_error(value: Tensor, truth: Tensor) -> float:
    return ((value - truth).norm() / truth.norm()).item()
