"""Wide networks looked at in less width: a method's arithmetic grows with it as a pass through the network does.

A step of a method may hold its network many times (MLNT of a ResNet-34: 5 GB). At half the width the same kernels
compute about a quarter; what part exactly is counted of the network alone, with tensors that have no memory.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch

from emlc.engine.run import method_class, parse_options
from emlc.models import MODELS, Backbone
from pipelines.planning.counting import CLASSES, Scale, Work, operations
from pipelines.planning.disk import Images

LARGE = 2**21
"""Parameters of a network that is still looked at as it is."""
BATCH = 2
"""Images of a pass: batch norm needs more than one."""


def counted(work_of: Callable[..., Work], identity: Mapping[str, Any], images: Images, scale: Scale) -> Work:
    """Return what a run or a pretraining computes, without a step of a network of more than `LARGE` parameters.

    Parameters
    ----------
    work_of : callable
        :func:`pipelines.planning.counting.run_work` or ``pretraining_work``.
    identity : mapping
        Of the run or the pretraining.
    images : Images
    scale : Scale
    """
    narrow = narrowed(identity)
    work = work_of(narrow, images, scale=scale)
    whole, part = (_pass(of["model"], len(of["mean"]), scale.side) for of in (identity, narrow))
    return Work(work.pixels * whole / part, work.calls)


def narrowed(identity: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the identity with the width halved until it will do, and with it what the method's options call one."""
    model, width = identity["model"], _width(identity["model"])
    while width >= 4 and _parameters({**model, "width": width}) > LARGE:
        width = width // 4 * 2  # even: ResNet-32 pads half of it on either side
    if width == _width(model):
        return identity
    share = width / _width(model)
    return {**identity, "model": {**model, "width": width}, "options": _options(identity, share)}


def _options(identity: Mapping[str, Any], share: float) -> dict[str, Any]:
    """Return a method's options with a share of what it calls a width; a pretraining has none."""
    given, implementation = identity.get("options", {}), identity.get("implementation")
    if implementation is None:
        return given
    known = vars(parse_options(method_class(implementation).Options, given, implementation))
    return {**given, **{name: max(1, int(known[name] * share)) for name in known if name.endswith("width")}}


def _width(model: Mapping[str, Any]) -> int:
    """Return the width of a network, its own if the profile says nothing; 0 if there is no such option."""
    parameters = inspect.signature(MODELS[model["name"]]).parameters
    return model.get("width", parameters["width"].default) if "width" in parameters else 0


def _parameters(model: Mapping[str, Any]) -> int:
    return sum(parameter.numel() for parameter in _without_memory(model, 3).parameters())


def _pass(model: Mapping[str, Any], channels: int, side: int) -> float:
    """Return the operations of a pass through a network and back."""
    return _counted_pass(tuple(sorted(model.items())), channels, side)


@cache
def _counted_pass(model: tuple[tuple[str, Any], ...], channels: int, side: int) -> float:
    network, images = _without_memory(dict(model), channels), torch.empty(BATCH, channels, side, side, device="meta")
    return operations(lambda: network(images).sum().backward()).pixels


def _without_memory(model: Mapping[str, Any], channels: int) -> Backbone:
    options = {name: value for name, value in model.items() if name != "name"}
    with torch.device("meta"):
        return MODELS[model["name"]](CLASSES, channels, **options)
