"""Tangents pushed along a recorded pass equal dual numbers, for every model of the suite."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from emlc.metagrad import dual_jvp
from emlc.metagrad import tape as tape_module
from emlc.metagrad.tape import Tape
from emlc.models import build_model
from tests.emlc.metagrad.scenes import CNN, MLP, relative_error

SMALL = {
    "cnn-small": ({"pool": 2}, 1, 8),
    "resnet18": ({"width": 4}, 3, 8),
    "resnet34": ({"width": 4}, 3, 8),
    "resnet50": ({"width": 4}, 3, 8),
    "preact-resnet18": ({"width": 4}, 3, 8),
    "preact-resnet32": ({"width": 4}, 3, 8),
    "resnet32": ({}, 3, 8),
    "wrn-28-10": ({"depth": 10, "width": 1}, 3, 8),
}


def recorded(student: nn.Module, inputs: torch.Tensor, seed: int = 1):
    """Return (tape jvp, dual-number jvp) at the weights of a pass that the optimiser has since left."""
    generator = torch.Generator().manual_seed(seed)
    params = {name: value.detach().clone() for name, value in student.named_parameters()}
    direction = {
        name: torch.randn(value.shape, generator=generator, dtype=value.dtype) for name, value in params.items()
    }
    expected = dual_jvp(student, params, inputs, direction)
    tape = Tape(student)
    with tape:
        logits = student(inputs)
    F.cross_entropy(logits, torch.zeros(len(inputs), dtype=torch.long)).backward()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(0.1)
    return tape.jvp(logits, params, direction), expected


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", sorted(SMALL))
def test_every_model_of_the_suite(name, training):
    options, channels, size = SMALL[name]
    generator = torch.Generator().manual_seed(0)
    student = build_model(name, 10, channels, generator, **options).double().train(training)
    inputs = torch.randn((6, channels, size, size), generator=generator, dtype=torch.float64)
    product, expected = recorded(student, inputs)
    assert relative_error(product, expected) < 1e-10


@pytest.mark.parametrize("name", sorted(SMALL))
def test_no_model_of_the_suite_needs_the_slow_way(name, monkeypatch):
    def refuse(function, *rest):
        raise AssertionError(f"no rule for {function}")

    monkeypatch.setattr(tape_module, "_dual_numbers", refuse)
    options, channels, size = SMALL[name]
    student = build_model(name, 10, channels, torch.Generator().manual_seed(0), **options).train()
    recorded(student, torch.randn((4, channels, size, size), generator=torch.Generator().manual_seed(0)))


class Unusual(nn.Module):
    """Calls without a rule, a shared layer, tensors that carry no tangent."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(6, 6)
        self.norm = nn.LayerNorm(6)
        self.scale = nn.Parameter(torch.tensor(0.7))
        self.out = nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        constant = torch.sin(x)
        h = F.gelu(self.norm(self.a(constant))) * self.scale
        h = torch.add(self.a(h).tanh(), self.scale, alpha=2) - constant
        h = h + h.exp() / (1 + h.exp())
        left, right = h.chunk(2, dim=1)
        h = torch.cat([left * h.max(dim=1, keepdim=True)[0], right], dim=1)
        return self.out(torch.cat([h, h.pow(2).clamp(max=3.0)], dim=1))


class InPlace(nn.Module):
    """Activations overwritten the way torchvision's ResNet does it."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.b = nn.Conv2d(4, 4, 3, padding=1)
        self.again = nn.BatchNorm2d(4)
        self.out = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.relu(self.norm(self.a(x)), inplace=True)
        g = self.again(self.b(h))
        g += h
        return self.out(F.relu(g, inplace=True).mean(dim=(2, 3)))


class Overwriting(nn.Module):
    """An activation that the tangent of exp needs is gone."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.a(x)
        y = h.sin()
        h += 1.0
        return y + h


def test_an_overwritten_activation_is_refused():
    module = Overwriting().double()
    tape = Tape(module)
    with tape, torch.no_grad():
        logits = module(torch.ones(2, 6, dtype=torch.float64))
    params = {name: value.detach() for name, value in module.named_parameters()}
    with pytest.raises(RuntimeError, match="sin read or returned was overwritten in place"):
        tape.jvp(logits, params, params)


class Opened(Overwriting):
    """A ReLU whose output says which units were open, and no longer does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.a(x).relu()
        y = h + 0.0
        h += 1.0
        return y


def test_an_overwritten_relu_is_refused():
    module = Opened().double()
    tape = Tape(module)
    with tape, torch.no_grad():
        logits = module(torch.ones(2, 6, dtype=torch.float64))
    params = {name: value.detach() for name, value in module.named_parameters()}
    with pytest.raises(RuntimeError, match="relu read or returned was overwritten in place"):
        tape.jvp(logits, params, params)


def test_dropout_is_refused_where_it_draws_and_passes_where_it_does_not():
    module = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5), nn.Linear(6, 4)).double()
    inputs = torch.randn((5, 6), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with Tape(module), pytest.raises(RuntimeError, match=r"dropout would draw anew: .* eval mode"):
        module(inputs)
    product, expected = recorded(module.eval(), inputs)
    assert relative_error(product, expected) < 1e-10


class Partial(nn.Module):
    """Layers of which only a part is a parameter, called by keywords, with a constant around the image."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.randn(4, 1, 3, 3, generator=torch.Generator().manual_seed(0)))
        self.register_buffer("weight", torch.randn(4, 4, generator=torch.Generator().manual_seed(1)))
        self.edge, self.bias = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(4))
        self.out = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = F.conv2d(x, weight=self.kernel, bias=self.edge, padding=1)
        h = F.pad(h, (1, 0, 2, 1), value=3.0)
        h = F.conv2d(F.pad(h, (1, 1, 0, 0), mode="replicate"), self.kernel.mT.repeat(1, 4, 1, 1), self.edge, stride=2)
        return self.out(F.linear(h.mean(dim=(2, 3)).tanh(), self.weight, bias=self.bias).tanh())


@pytest.mark.parametrize("student", [MLP, CNN, Unusual, InPlace, Partial])
def test_any_module_falls_back_to_dual_numbers(student):
    module = student().double().train()
    for parameter in module.parameters():
        parameter.data.normal_(generator=torch.Generator().manual_seed(3))
    shape = (5, 6) if student in (MLP, Unusual) else (5, 1, 4, 4)
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    product, expected = recorded(module, inputs)
    assert relative_error(product, expected) < 1e-10


def test_recording_leaves_the_forward_pass_as_it_is():
    plain, taped = CNN().double(), CNN().double()
    taped.load_state_dict(plain.state_dict())
    inputs = torch.randn((5, 1, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with Tape(taped):
        logits = taped(inputs)
    assert torch.equal(logits, plain(inputs))
    for (name, ours), theirs in zip(taped.state_dict().items(), plain.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name


def test_tangents_of_log_probabilities_keep_the_total_probability():
    student = MLP().double()
    inputs = torch.randn((5, 6), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tape = Tape(student)
    with tape:
        logits = student(inputs)
    params = {name: value.detach() for name, value in student.named_parameters()}
    tangent = tape.jvp(logits, params, params)
    total = (logits.detach().softmax(dim=1) * tangent).sum(dim=1)
    assert total.abs().max() < 1e-12
