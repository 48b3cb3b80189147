"""One pass of a whole backbone and of its official counterpart: outputs, gradients, running statistics."""

import copy
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from emlc.models import Backbone, build_model
from pipelines.official import ours
from pipelines.official.comparison import Case, State, network_state
from pipelines.official.networks import copy_weights

IMAGES, SIZE = 2, 8


def backbone_case(title: str, name: str, official: Callable[[], nn.Module], *, encoder: bool = False) -> Case:
    """Return the comparison of a full-width backbone.

    Parameters
    ----------
    title : str
        Name of the case.
    name : str
        A key of :data:`emlc.models.MODELS`.
    official : callable
        Makes the official network, its parameters in the order of ours.
    encoder : bool
        Whether the official network ends in features, without a classifier.
    """
    sides = partial(_ours, name, encoder), partial(_official, name, official, encoder)
    return Case(title, *sides, steps=(1,))


def _network(name: str) -> Backbone:
    return build_model(name, ours.CLASSES, ours.CHANNELS, ours.generator(7))


def _ours(name: str, encoder: bool, steps: int) -> State:
    network = _network(name)
    return _pass(network, network.features if encoder else network, encoder)


def _official(name: str, make: Callable[[], nn.Module], encoder: bool, steps: int, undone: bool) -> State:
    network, initial = make(), copy.deepcopy(_network(name))
    copy_weights(_weights(initial, encoder), list(network.parameters()))
    return _pass(network, network, encoder)


def _pass(network: nn.Module, compute: Callable[[Tensor], Tensor], encoder: bool) -> State:
    """Return what a training pass leaves, and the gradient of the mean square of its outputs."""
    images = torch.randn(IMAGES, ours.CHANNELS, SIZE, SIZE, generator=ours.generator(8))
    outputs = compute(images)
    gradients = torch.autograd.grad(outputs.square().mean(), _weights(network, encoder))
    statistics = {key: value for key, value in network_state("network", network).items() if "weights" not in key}
    return {"outputs": [outputs], "gradient": list(gradients), **statistics}


def _weights(network: nn.Module, encoder: bool) -> list[Tensor]:
    return [value for name, value in network.named_parameters() if not (encoder and name.startswith("classifier."))]
