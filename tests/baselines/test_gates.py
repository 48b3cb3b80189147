"""Gates: what they belong to, see, count and let through."""

import pytest
import torch
from torch import nn

from baselines.gates import LAST, Gate, LastTensorGates, LayerGates
from emlc.models import build_model


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network() -> nn.Module:
    return build_model("cnn-small", 3, 1, generator(), width=2)


def gradients_of(model: nn.Module, seed: int) -> dict[str, torch.Tensor]:
    return {name: torch.randn(value.shape, generator=generator(seed)) for name, value in model.named_parameters()}


def test_the_paper_gates_layers():
    gates = LayerGates(network(), generator())
    assert [group[0] for group in gates.groups] == [
        *("conv1.weight", "bn1.weight", "conv2.weight", "bn2.weight", "conv3.weight", "bn3.weight"),
        "classifier.weight",
    ]
    assert gates.groups[1] == ["bn1.weight", "bn1.bias"]
    assert gates.always == []


def test_the_released_code_gates_the_last_tensors_but_two():
    model = build_model("preact-resnet18", 3, 1, generator(), width=2)
    gates = LastTensorGates(model, generator())
    names = [name for name, _ in model.named_parameters()]
    assert gates.groups == [[name] for name in names[-LAST:-2]]
    assert {name.split(".")[0] for name in names[-LAST:]} == {"layer4", "classifier"}
    assert gates.always == ["classifier.weight", "classifier.bias"]


def test_what_gates_see():
    kernel = torch.arange(12.0).view(2, 3, 2, 1)
    paper, released = (kind(network(), generator()) for kind in (LayerGates, LastTensorGates))
    torch.testing.assert_close(paper.pooled(kernel), torch.tensor([2.5, 8.5]))
    torch.testing.assert_close(released.pooled(kernel), torch.tensor([-1.0, 1.0]))
    assert released.pooled(torch.ones(3)).tolist() == [0, 0, 0]


def test_the_penalty_counts_open_gates_and_as_released_the_last():
    states = torch.tensor([1.0, 1.0, 0.0, 1.0, 0.0])
    paper, released = (kind(network(), generator()) for kind in (LayerGates, LastTensorGates))
    assert paper.penalty(states, 4) == 1
    assert released.penalty(states, 4) == 16
    assert released.penalty(states.flip(0), 4) == 9


@pytest.mark.parametrize("kind", [LayerGates, LastTensorGates])
def test_open_gates_let_through_what_the_others_hold_back(kind):
    model = network()
    gates, feedback = kind(model, generator()), gradients_of(model, 1)
    states = torch.arange(len(gates.groups)).remainder(2).float()
    passed = gates.through(feedback, states)
    for group, state in zip(gates.groups, states, strict=True):
        for name in group:
            assert torch.equal(passed[name], feedback[name] * state)
    gated = {name for group in gates.groups for name in group}
    for name in feedback.keys() - gated:
        assert torch.equal(passed[name], feedback[name] * (name in gates.always))


def test_leverage_is_the_derivative_by_the_states():
    """Of <g', sum s (s g) + (1 - s) ((1 - s) g)> with s constant where it chooses the branch."""
    model = network()
    gates, gradients, feedback = LayerGates(model, generator()), gradients_of(model, 1), gradients_of(model, 2)
    states = torch.tensor([1.0, 0, 0, 1, 1, 0, 1], requires_grad=True)
    step = torch.zeros(())
    for number, group in enumerate(gates.groups):
        factor = states[number] if states[number] == 1 else 1 - states[number]
        step = step + sum((factor * gradients[name] * feedback[name]).sum() for name in group)
    (expected,) = torch.autograd.grad(step, states)
    torch.testing.assert_close(gates.leverage(gradients, feedback, states), expected)


def test_states_are_hard_random_and_differentiable():
    model = network()
    gates, source = LayerGates(model, generator()), generator(3)
    states = torch.stack([gates(gradients_of(model, 1), source) for _ in range(200)])
    torch.testing.assert_close(states.round(), states)
    assert 0.1 < states.mean() < 0.9
    assert (states[0].sum() - 4).square().requires_grad
    states.sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for gate in gates.gates for parameter in gate.layers[2].parameters())


def test_a_gate_is_a_straight_through_softmax():
    gate, seen, noise = Gate(2, generator()), torch.tensor([0.3, -1.0]), torch.tensor([0.0, 9.0])
    state = gate(seen, noise)
    hidden = gate.layers[0](seen)
    scores = gate.layers[2](torch.where(hidden > 0, hidden, 0.25 * hidden)) + noise
    torch.testing.assert_close(state, torch.tensor(1.0))
    bias = gate.layers[2].bias
    expected = torch.autograd.grad((scores / 5).softmax(0)[1], bias)
    torch.testing.assert_close(torch.autograd.grad(state, bias), expected)
