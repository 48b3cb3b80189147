"""Networks of MW-Net's and MSLC's code, whose weights a virtual step can replace inside the graph."""

from typing import Any

import torch
from torch import Tensor, nn

from emlc.models import Backbone
from pipelines.official.networks import copy_weights
from pipelines.official.source import Definitions, needed

NAMES = {nn.Conv2d: "MetaConv2d", nn.BatchNorm2d: "MetaBatchNorm2d", nn.Linear: "MetaLinear"}


def replaceable(definitions: Definitions, backbone: Backbone) -> Any:
    """Return a copy of one of our networks made of the layers of an official ``resnet.py``.

    Its `params()` yields the weights and `update_params` replaces them, both as defined there.
    """
    base = needed(definitions, "MetaModule")
    ours = {name: getattr(type(backbone), name) for name in ("maps", "features", "forward", "precision")}
    network = type("Replaceable", (base,), ours)()
    for name, value in vars(backbone).items():
        if not name.startswith("_"):  # sizes, such as that of a pool
            setattr(network, name, value)
    for name, layer in backbone.named_children():
        setattr(network, name, _layer(definitions, layer))
    return network.train()


def weight_net(definitions: Definitions, ours: nn.Module, hidden: int) -> Any:
    """Return the official weight network with the weights of ours."""
    network = needed(definitions, "VNet")(1, hidden, 1)
    copy_weights(ours, list(network.params()))
    return network


def statistics(network: Any) -> list[Tensor]:
    """Return the running statistics, in the order of ``buffers()`` of the network that was copied."""
    layers = [layer for layer in network.children() if hasattr(layer, "running_mean")]
    return [value.clone() for layer in layers for value in (layer.running_mean, layer.running_var)]


def _layer(definitions: Definitions, layer: nn.Module) -> Any:
    """Return the official layer with the weights of one of ours."""
    made = needed(definitions, NAMES[type(layer)])
    if isinstance(layer, nn.Conv2d):
        official = made(
            layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, bias=False
        )
    elif isinstance(layer, nn.BatchNorm2d):
        official = made(layer.num_features)
    else:
        official = made(layer.in_features, layer.out_features)
    copy_weights(layer, [value for _, value in official.named_leaves() if value is not None])
    with torch.no_grad():
        for name in ("running_mean", "running_var"):
            if hasattr(layer, name):
                getattr(official, name).copy_(getattr(layer, name))
    return official
