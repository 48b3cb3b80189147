"""The replacing SGD computes what torch's does, and leaves the values before each step alone."""

import pytest
import torch
from torch import nn

from emlc.engine.optimiser import ReplacingSGD


def trained(optimiser_class, settings, steps=6):
    """Return the weights after some steps, the last of which only one parameter has a gradient for."""
    generator = torch.Generator().manual_seed(0)
    module = nn.Linear(5, 3)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator)
    optimiser = optimiser_class(module.parameters(), **settings)
    for step in range(steps):
        inputs = torch.randn((7, 5), generator=generator)
        optimiser.zero_grad()
        module(inputs).square().mean().backward()
        if step == steps - 1:
            module.bias.grad = None
        optimiser.step()
    return module, optimiser


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
@pytest.mark.parametrize("weight_decay", [0.0, 5e-4])
def test_bit_for_bit_what_torch_computes(momentum, nesterov, weight_decay):
    settings = {"lr": 0.1, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
    ours, our_optimiser = trained(ReplacingSGD, settings)
    theirs, their_optimiser = trained(torch.optim.SGD, settings)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)
        assert momentum == 0 or torch.equal(
            our_optimiser.state[mine]["momentum_buffer"], their_optimiser.state[other]["momentum_buffer"]
        )


def test_values_and_velocities_before_a_step_outlive_it():
    module = nn.Linear(5, 3)
    optimiser = ReplacingSGD(module.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    aliases, copies, weights = [], [], []
    for _ in range(4):
        optimiser.zero_grad()
        module(torch.ones(2, 5)).square().mean().backward()
        held = [*(value.detach() for value in module.parameters()), *map(optimiser.velocity, module.parameters())]
        aliases += held
        copies += [value.clone() for value in held]
        weights.append(held[0])
        optimiser.step()
    for alias, copy in zip(aliases, copies, strict=True):
        assert torch.equal(alias, copy)
    assert not torch.equal(weights[0], weights[1])


def test_state_goes_through_a_checkpoint():
    module, optimiser = trained(ReplacingSGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.0})
    other = ReplacingSGD(module.parameters(), lr=0.1, momentum=0.9)
    other.load_state_dict(optimiser.state_dict())
    for parameter in module.parameters():
        assert torch.equal(other.velocity(parameter), optimiser.velocity(parameter))


@pytest.mark.parametrize("setting", [{"dampening": 0.1}, {"maximize": True}])
def test_what_it_does_not_do_is_refused(setting):
    module = nn.Linear(2, 2)
    module(torch.ones(1, 2)).sum().backward()
    with pytest.raises(NotImplementedError):
        ReplacingSGD(module.parameters(), lr=0.1, momentum=0.9, **setting).step()
