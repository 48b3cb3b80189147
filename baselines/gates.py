"""FaMUS's gates: which layers of a network a meta-gradient goes through (Xu et al., CVPR 2021, section 3.2)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from emlc.metagrad.window import Params
from emlc.models import initialise, undrawn

HIDDEN = 128
TEMPERATURE = 5.0
"""Of the Gumbel softmax, in the released code."""
LAST = 15
"""How many of the last parameter tensors the released code lets contribute: layer4 and classifier of a ResNet-18."""


class Gate(nn.Module):
    """From the pooled gradient [d] of a layer and two Gumbel draws to 1 (open) or 0, differentiable straight through.

    Parameters
    ----------
    size : int
        d.
    generator : torch.Generator
        Draws the initial weights.
    """

    def __init__(self, size: int, generator: torch.Generator) -> None:
        super().__init__()
        with undrawn(self):
            self.layers = nn.Sequential(nn.Linear(size, HIDDEN), nn.PReLU(), nn.Linear(HIDDEN, 2))
        nn.init.constant_(self.layers[1].weight, 0.25)
        for layer in (self.layers[0], self.layers[2]):
            initialise(layer, generator)

    def forward(self, pooled: Tensor, noise: Tensor) -> Tensor:
        """Return a scalar."""
        soft = ((self.layers(pooled) + noise) / TEMPERATURE).softmax(dim=0)
        hard = F.one_hot(soft.argmax(), 2).to(soft.dtype)
        return (soft + (hard - soft).detach())[1]


class LayerGates(nn.Module):
    """A gate for each layer, which sees the mean of its gradient over all axes but the output's: the paper's.

    Parameters
    ----------
    network : nn.Module
    generator : torch.Generator
        Draws the initial weights.

    Attributes
    ----------
    groups : list of list of str
        The parameters behind each gate; it sees the first.
    always : list of str
        Parameters behind none, which contribute always.
    """

    def __init__(self, network: nn.Module, generator: torch.Generator) -> None:
        super().__init__()
        self.groups, self.always = self.grouped(network)
        sizes = {name: len(parameter) for name, parameter in network.named_parameters()}
        self.gates = nn.ModuleList(Gate(sizes[group[0]], generator) for group in self.groups)

    def grouped(self, network: nn.Module) -> tuple[list[list[str]], list[str]]:
        """Return `groups` and `always`."""
        layers: dict[str, list[str]] = {}
        for name, _ in network.named_parameters():
            layers.setdefault(name.rpartition(".")[0], []).append(name)
        return list(layers.values()), []

    def pooled(self, gradient: Tensor) -> Tensor:
        """Return what a gate sees of a gradient [d, ...]: [d]."""
        return gradient.flatten(1).mean(dim=1) if gradient.dim() > 1 else gradient

    def penalty(self, states: Tensor, wanted: int) -> Tensor:
        """Return L_r, the square of how many more gates than `wanted` are open."""
        return (states.sum() - wanted) ** 2

    def forward(self, gradients: Params, generator: torch.Generator) -> Tensor:
        """Return each gate's state [L] by a network's gradients."""
        uniform = torch.rand(len(self.gates), 2, generator=generator, device=generator.device)
        noise = -(-uniform.clamp_min(torch.finfo(uniform.dtype).tiny).log()).log()
        seen = [self.pooled(gradients[group[0]].detach()) for group in self.groups]
        states = [gate(*inputs) for gate, *inputs in zip(self.gates, seen, noise.to(seen[0]), strict=True)]
        return torch.stack(states)

    def through(self, feedback: Params, states: Tensor) -> Mapping[str, Tensor]:
        """Return what open gates let through of a gradient, zeros elsewhere."""
        passed = dict.fromkeys(self.always, states.new_ones(()))
        for group, state in zip(self.groups, states.detach(), strict=True):
            passed |= dict.fromkeys(group, state)
        return {name: value * passed.get(name, 0.0) for name, value in feedback.items()}

    def leverage(self, gradients: Params, feedback: Params, states: Tensor) -> Tensor:
        """Return the derivative [L] by the states of the clean loss after a step of length 1 on `gradients`.

        An open gate multiplies its layer's step by its state, a closed one by 1 - state.
        """
        products = [
            torch.stack([(gradients[name] * feedback[name]).sum() for name in group]).sum() for group in self.groups
        ]
        return torch.stack(products).detach() * (2 * states.detach() - 1)


class LastTensorGates(LayerGates):
    """The released code's: for each of the last parameter tensors but two, which always count.

    A gate sees the sum of its gradient, standardised. Only the last one is in the penalty, against the number that is
    wanted of all.
    """

    def grouped(self, network: nn.Module) -> tuple[list[list[str]], list[str]]:
        """Return `groups` and `always`."""
        names = [name for name, _ in network.named_parameters()][-LAST:]
        return [[name] for name in names[:-2]], names[-2:]

    def pooled(self, gradient: Tensor) -> Tensor:
        """Return what a gate sees of a gradient [d, ...]: [d]."""
        total = gradient.flatten(1).sum(dim=1) if gradient.dim() > 1 else gradient
        spread = total.std(correction=0).clamp_min(torch.finfo(total.dtype).tiny)
        return (total - total.mean()) / spread

    def penalty(self, states: Tensor, wanted: int) -> Tensor:
        """Return the square of the last state less what is wanted."""
        return (states[-1] - wanted) ** 2


GATES = {"layers": LayerGates, "last-tensors": LastTensorGates}
