"""Backbones by name: ``build_model("resnet34", num_classes=10, in_channels=3, generator=generator)``."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial

import torch

from emlc.models.base import Backbone, initialise, undrawn
from emlc.models.preact import PreActResNet18, PreActResNet32
from emlc.models.resnet import BasicBlock, Bottleneck, ImageNetResNet, ResNet, ResNet32
from emlc.models.small import SmallCNN
from emlc.models.wide_resnet import WideResNet
from emlc.records.errors import SuiteError

__all__ = ["MODELS", "Backbone", "build_model", "initialise", "undrawn"]

MODELS: Mapping[str, Callable[..., Backbone]] = {
    "cnn-small": SmallCNN,
    "preact-resnet18": PreActResNet18,
    "preact-resnet32": PreActResNet32,
    "resnet18": partial(ResNet, BasicBlock, (2, 2, 2, 2)),
    "resnet18-imagenet": partial(ImageNetResNet, BasicBlock, (2, 2, 2, 2)),
    "resnet32": ResNet32,
    "resnet34": partial(ResNet, BasicBlock, (3, 4, 6, 3)),
    "resnet34-imagenet": partial(ImageNetResNet, BasicBlock, (3, 4, 6, 3)),
    "resnet50": partial(ResNet, Bottleneck, (3, 4, 6, 3)),
    "resnet50-imagenet": partial(ImageNetResNet, Bottleneck, (3, 4, 6, 3)),
    "wrn-28-10": WideResNet,
}
"""Name -> constructor taking (num_classes, in_channels) and, by keyword, the model's options."""


def build_model(name: str, num_classes: int, in_channels: int, generator: torch.Generator, **options: int) -> Backbone:
    """Build a backbone on the CPU with weights drawn from `generator`.

    PyTorch's global random state is neither read nor changed.

    Parameters
    ----------
    name : str
        A key of `MODELS`.
    num_classes, in_channels : int
    generator : torch.Generator
        On the CPU.
    **options : int
        The model's own options, e.g. ``width``, or ``depth`` of ``wrn-28-10``. Positive.

    Returns
    -------
    Backbone

    Raises
    ------
    SuiteError
        If the name or an option is unknown, or an option's value is not usable.
    """
    constructor = _constructor(name, options)
    with torch.device("meta"):  # default initialisation, from the global generator, does not run there
        model = constructor(num_classes, in_channels, **options)
    model.to_empty(device="cpu")
    initialise(model, generator)
    return model


def _constructor(name: str, options: Mapping[str, int]) -> Callable[..., Backbone]:
    """Look the model up and check its options."""
    if name not in MODELS:
        raise SuiteError(f"no model is called {name!r}; known are {', '.join(MODELS)}")
    parameters = inspect.signature(MODELS[name]).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    for option, value in options.items():
        if option not in known:
            raise SuiteError(f"model {name} has no option {option!r}; known are {', '.join(known)}")
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise SuiteError(f"option {option} of model {name} must be a positive integer, not {value!r}")
    return MODELS[name]
