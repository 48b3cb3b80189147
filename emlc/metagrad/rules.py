"""Tangents of the usual layers: what each call makes of the tangents of its inputs, from values that are there."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from emlc.models.batch_norm import standardised, synchronised_batch_norm, tangent_of_batch_norm


class Call(NamedTuple):
    """One recorded call: ``output = function(*args, **kwargs)``."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any
    versions: tuple[int, ...]
    """Of every tensor argument when the call was made, then of the outputs after it: in-place operations raise them."""
    statistics: tuple[Tensor, Tensor] | None
    """Mean and reciprocal standard deviation that batch normalisation in training mode has computed."""


Tangent = Tensor | None
"""None stands for a tangent of zeros."""


def _sum(terms: Sequence[Tangent]) -> Tensor:
    """Add up what is there, into the first of the terms: pass fresh tensors only, but for the last."""
    present = [term for term in terms if term is not None]
    for term in present[1:]:
        present[0].add_(term)
    return present[0]


def _named(names: Sequence[str], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's arguments by name; None for those that it leaves out."""
    return dict.fromkeys(names) | dict(zip(names, args, strict=False)) | dict(kwargs)


def _conv2d(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """Conv is bilinear: dy = conv(dx, W) + conv(x, dW) + db."""
    options = ("stride", "padding", "dilation", "groups")
    names = ("input", "weight", "bias", *options)
    value, tangent = _named(names, call.args, call.kwargs), _named(names, args, kwargs)
    given = {name: value[name] for name in options if value[name] is not None}
    convolve = partial(F.conv2d, bias=None, **given)
    through_inputs = None if tangent["input"] is None else convolve(tangent["input"], value["weight"])
    through_weight = None if tangent["weight"] is None else convolve(value["input"], tangent["weight"])
    through_bias = None if tangent["bias"] is None else tangent["bias"].view(-1, 1, 1)
    return _sum([through_inputs, through_weight, through_bias]).expand_as(call.output)


def _linear(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """A linear layer is bilinear too: dy = dx W' + x dW' + db."""
    names = ("input", "weight", "bias")
    value, tangent = _named(names, call.args, call.kwargs), _named(names, args, kwargs)
    through_inputs = None if tangent["input"] is None else F.linear(tangent["input"], value["weight"])
    through_weight = None if tangent["weight"] is None else F.linear(value["input"], tangent["weight"])
    return _sum([through_inputs, through_weight, tangent["bias"]]).expand_as(call.output)


def _batch_norm(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """Batch normalisation is y = gamma xhat + beta: dy = dgamma xhat + dbeta + gamma dxhat."""
    names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
    value, tangent = _named(names, call.args, call.kwargs), _named(names, args, kwargs)
    value["eps"] = 1e-5 if value["eps"] is None else value["eps"]
    inputs = value["input"]
    mean, rstd = call.statistics or _recomputed_statistics(value)
    shape = [1, -1] + [1] * (inputs.dim() - 2)
    slope = torch.zeros_like(mean) if tangent["weight"] is None else tangent["weight"] * rstd
    offset = -mean * slope if tangent["bias"] is None else tangent["bias"] - mean * slope
    through_affine = torch.addcmul(offset.view(shape), inputs, slope.view(shape)).to(inputs.dtype)
    return _sum([through_affine, _normalised(tangent["input"], value, mean, rstd)])


def _normalised(d_inputs: Tangent, value: Mapping[str, Any], mean: Tensor, rstd: Tensor) -> Tangent:
    """Return gamma dxhat.

    With batch statistics the Jacobian of xhat is symmetric, so its product with dx is what the backward pass would
    make of a gradient dx: one fused kernel.
    """
    if d_inputs is None:
        return None
    inputs, weight = value["input"], value["weight"]
    if not value["training"]:
        scale = rstd if weight is None else rstd * weight
        return d_inputs * scale.view([1, -1] + [1] * (inputs.dim() - 2)).to(d_inputs.dtype)
    backward = torch.ops.aten.native_batch_norm_backward
    return backward(d_inputs, inputs, weight, None, None, mean, rstd, True, value["eps"], [True, False, False])[0]


def _recomputed_statistics(value: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Return the mean and the reciprocal standard deviation that the recorded pass normalised with."""
    mean, variance = value["running_mean"], value["running_var"]
    if value["training"]:
        axes = [axis for axis in range(value["input"].dim()) if axis != 1]
        inputs = value["input"]
        wide = torch.promote_types(inputs.dtype, torch.float32)
        variance, mean = torch.var_mean(inputs.to(wide), dim=axes, correction=0)
    return mean, (variance + value["eps"]).rsqrt()


def _synchronised_batch_norm(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """As :func:`_batch_norm`, with the statistics and the tangents of all processes' batches."""
    inputs, weight = call.args[:2]
    mean, rstd = call.statistics
    moved = tangent_of_batch_norm(standardised(inputs, mean, rstd), weight, rstd, *args[:3])
    return moved.to(inputs.dtype)


def _relu(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    return torch.ops.aten.threshold_backward(args[0], call.output, 0)


def _add(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """Addition: dy = da + alpha db."""
    left, right, alpha = args[0], args[1], call.kwargs.get("alpha", 1)
    if left is None:
        return (right * alpha).expand_as(call.output)
    return (left if right is None else torch.add(left, right, alpha=alpha)).expand_as(call.output)


def _pad(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """Padding copies or repeats the tangent; a constant has none."""
    value = _named(("input", "pad", "mode"), call.args[:3], call.kwargs)
    return F.pad(_named(("input",), args[:1], kwargs)["input"], value["pad"], value["mode"] or "constant")


def _linear_map(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """Tangent of a call that is linear in its first argument and has no other tangent."""
    return call.function(args[0], *call.args[1:], **call.kwargs)


_LINEAR_MAPS = (
    F.adaptive_avg_pool2d,
    F.avg_pool2d,
    torch.flatten,
    torch.mean,
    Tensor.__getitem__,
    Tensor.flatten,
    Tensor.float,
    Tensor.mean,
    Tensor.reshape,
    Tensor.view,
)
RELUS = (F.relu, torch.relu, Tensor.relu)
_ADDS = (torch.add, Tensor.add, Tensor.add_)

RULES: dict[Callable[..., Any], Callable[[Call, tuple[Any, ...], Mapping[str, Any]], Any]] = {
    torch.conv2d: _conv2d,
    F.linear: _linear,
    F.batch_norm: _batch_norm,
    synchronised_batch_norm: _synchronised_batch_norm,
    F.pad: _pad,
    **dict.fromkeys(RELUS, _relu),
    **dict.fromkeys(_ADDS, _add),
    **dict.fromkeys(_LINEAR_MAPS, _linear_map),
}
"""Tangent rules of the usual layers; everything else is differentiated with dual numbers."""

BLIND = frozenset({*_ADDS, *_LINEAR_MAPS, F.pad})
"""Calls whose rule reads no values, so that these may be overwritten in place; that of a ReLU reads the output."""

RANDOM = frozenset(
    {F.alpha_dropout, F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.feature_alpha_dropout, F.rrelu}
)
"""Calls that draw in training mode: their draw is not kept, and with another one they are another function."""
