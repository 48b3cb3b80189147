"""Push tangents through a forward pass that has already happened.

Algorithm 2 needs J_w(i) v at the weights whose forward pass the student's own step has just computed. A :class:`Tape`
records the calls of that pass; :meth:`Tape.jvp` later sends a tangent along them, layer by layer, with the activations
that are already there. That is two plain forward passes of arithmetic instead of the three of dual numbers, exact to
rounding, for any module: a call without a rule in :data:`RULES` falls back to dual numbers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import jvp
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from emlc.metagrad.window import Params
from emlc.precision import as_computed


class Call(NamedTuple):
    """One recorded call: ``output = function(*args, **kwargs)``."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any
    versions: tuple[int, ...]
    """Of every tensor argument when the call was made: in-place operations raise them."""
    statistics: tuple[Tensor, Tensor] | None
    """Mean and reciprocal standard deviation that batch normalisation in training mode has computed."""


Tangent = Tensor | None
"""None stands for a tangent of zeros."""


class Tape(TorchFunctionMode):
    """Records, while active, every torch call that depends on the student's parameters.

    Use it around the student's training forward pass; the pass itself is unchanged, autograd included.

    Parameters
    ----------
    student : nn.Module
        Whose parameters carry the tangents.

    Examples
    --------
    >>> tape = Tape(student)
    >>> with tape:
    ...     logits = student(inputs)
    >>> products = tape.jvp(logits, params_of_that_pass, direction)  # after the optimiser has moved on
    """

    def __init__(self, student: nn.Module) -> None:
        super().__init__()
        self._names = {id(parameter): name for name, parameter in student.named_parameters()}
        self._active = set(self._names)
        self._calls: list[Call] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the call and keep it if a tangent will flow through it."""
        kwargs = kwargs or {}
        tensors = tuple(_tensors((args, kwargs)))
        if self._active.isdisjoint(map(id, tensors)):
            return func(*args, **kwargs)
        versions = tuple(tensor._version for tensor in tensors)
        output = func(*args, **kwargs)
        outputs = [tensor for tensor in _tensors(output) if tensor.is_floating_point()]
        if outputs:
            self._calls.append(Call(func, args, kwargs, output, versions, _statistics(func, output)))
            self._active.update(map(id, outputs))
        return output

    @torch.no_grad()
    def jvp(self, logits: Tensor, params: Params, direction: Params) -> Tensor:
        """Return ``J_w(log p_w(y | x_i)) v`` at the recorded pass, shape [n, C].

        Parameters
        ----------
        logits : Tensor [n, C]
            What the recorded pass returned.
        params : mapping of str to Tensor
            The parameter values of that pass (the module's own may have moved on).
        direction : mapping of str to Tensor
            v, keyed as ``named_parameters()``.

        Raises
        ------
        RuntimeError
            If an activation that a rule has to read was overwritten by an in-place operation.
        """
        values = {address: params[name].detach() for address, name in self._names.items()}
        tangents = {address: direction[name].detach() for address, name in self._names.items()}
        for call, spent in zip(self._calls, _last_uses(self._calls, keep=logits), strict=True):
            moved = _push(call, values, tangents)
            tangents |= dict(zip(map(id, _tensors(call.output)), _tensors(moved), strict=True))
            for address in spent:
                tangents.pop(address, None)
        logit_tangent = tangents[id(logits)]
        probabilities = torch.softmax(logits.detach(), dim=1)
        return logit_tangent - (probabilities * logit_tangent).sum(dim=1, keepdim=True)


def _last_uses(calls: Sequence[Call], keep: Tensor) -> list[list[int]]:
    """Return, for every call, the addresses of the tensors that no later call reads: their tangents can go."""
    last = {id(tensor): place for place, call in enumerate(calls) for tensor in _tensors((call.args, call.kwargs))}
    last.pop(id(keep), None)
    spent: list[list[int]] = [[] for _ in calls]
    for address, place in last.items():
        spent[place].append(address)
    return spent


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested arguments."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return nested arguments with every leaf replaced by what `change` makes of it."""
    if isinstance(value, tuple | list):
        return type(value)([_mapped(part, change) for part in value])
    if isinstance(value, dict):
        return {key: _mapped(part, change) for key, part in value.items()}
    return change(value)


def _statistics(function: Callable[..., Any], output: Any) -> tuple[Tensor, Tensor] | None:
    """Return what autograd keeps of a batch normalisation in training mode, if it does."""
    node = output.grad_fn if function is F.batch_norm else None
    if not hasattr(node, "_saved_result1") or not len(node._saved_result1):
        return None
    return node._saved_result1, node._saved_result2


def _push(call: Call, values: Mapping[int, Tensor], tangents: Mapping[int, Tensor]) -> Any:
    """Return the tangent of one call's output, nested like it."""
    if call.function not in BLIND:
        _refuse_overwritten(call, values)
    # Only tensors have ids among them: every other object that lives as long as these has an id of its own.
    args, kwargs = _mapped((call.args, call.kwargs), lambda leaf: values.get(id(leaf), leaf))
    moved, moved_kwargs = _mapped((call.args, call.kwargs), lambda leaf: tangents.get(id(leaf)))
    rule = RULES.get(call.function, _dual_numbers)
    with as_computed(next(_tensors(call.output))):
        return rule(call._replace(args=args, kwargs=kwargs), moved, moved_kwargs)


def _refuse_overwritten(call: Call, values: Mapping[int, Tensor]) -> None:
    for tensor, version in zip(_tensors((call.args, call.kwargs)), call.versions, strict=True):
        if tensor._version != version and id(tensor) not in values:
            name = getattr(call.function, "__name__", call.function)
            raise RuntimeError(f"an input of {name} was overwritten in place, so its tangent cannot be computed")


def _dual_numbers(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return the tangent of any differentiable call, recomputing its primal value."""
    fixed, structure = tree_flatten((call.args, call.kwargs))
    moved = tree_flatten((args, kwargs))[0]
    places = [place for place, tangent in enumerate(moved) if tangent is not None]

    def of_moved(*primals: Tensor) -> Any:
        leaves = list(fixed)
        for place, primal in zip(places, primals, strict=True):
            leaves[place] = primal
        called_args, called_kwargs = tree_unflatten(leaves, structure)
        return call.function(*called_args, **called_kwargs)

    return jvp(of_moved, tuple(fixed[place].detach() for place in places), tuple(moved[place] for place in places))[1]


def _sum(terms: Sequence[Tangent]) -> Tensor:
    """Add up what is there, into the first of the terms: pass fresh tensors only."""
    present = [term for term in terms if term is not None]
    for term in present[1:]:
        present[0].add_(term)
    return present[0]


def _conv2d(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """Conv is bilinear: dy = conv(dx, W) + conv(x, dW) + db."""
    (inputs, weight), options = call.args[:2], _conv_options(call)
    d_inputs, d_weight = args[:2]
    through_inputs = None if d_inputs is None else F.conv2d(d_inputs, weight, None, **options)
    through_weight = None if d_weight is None else F.conv2d(inputs, d_weight, _bias(args, kwargs), **options)
    return _sum([through_inputs, through_weight])


def _conv_options(call: Call) -> dict[str, Any]:
    names = ("stride", "padding", "dilation", "groups")
    return dict(zip(names, call.args[3:], strict=False)) | {k: v for k, v in call.kwargs.items() if k in names}


def _bias(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return args[2] if len(args) > 2 else kwargs.get("bias")


def _linear(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """A linear layer is bilinear too: dy = dx W' + x dW' + db."""
    inputs, weight = call.args[:2]
    through_inputs = None if args[0] is None else F.linear(args[0], weight)
    through_weight = None if args[1] is None else F.linear(inputs, args[1], _bias(args, kwargs))
    return _sum([through_inputs, through_weight])


def _batch_norm(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """Batch normalisation is y = gamma xhat + beta: dy = dgamma xhat + dbeta + gamma dxhat."""
    value, tangent = _by_name(call.args, call.kwargs), _by_name(args, kwargs)
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


def _by_name(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
    defaults = {"weight": None, "bias": None, "training": False, "eps": 1e-5}
    return defaults | dict(zip(names, args, strict=False)) | dict(kwargs)


def _recomputed_statistics(value: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Return the mean and the reciprocal standard deviation that the recorded pass normalised with."""
    mean, variance = value["running_mean"], value["running_var"]
    if value["training"]:
        axes = [axis for axis in range(value["input"].dim()) if axis != 1]
        inputs = value["input"]
        wide = torch.promote_types(inputs.dtype, torch.float32)
        variance, mean = torch.var_mean(inputs.to(wide), dim=axes, correction=0)
    return mean, (variance + value["eps"]).rsqrt()


def _relu(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    return torch.ops.aten.threshold_backward(args[0], call.output, 0)


def _add(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """Addition: dy = da + alpha db."""
    left, right, alpha = args[0], args[1], call.kwargs.get("alpha", 1)
    if left is None:
        return (right * alpha).expand_as(call.output)
    return (left if right is None else torch.add(left, right, alpha=alpha)).expand_as(call.output)


def _linear_map(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """Tangent of a call that is linear in its first argument and has no other tangent."""
    return call.function(args[0], *call.args[1:], **call.kwargs)


_LINEAR_MAPS = (
    F.adaptive_avg_pool2d,
    F.avg_pool2d,
    F.pad,
    torch.flatten,
    torch.mean,
    Tensor.__getitem__,
    Tensor.flatten,
    Tensor.float,
    Tensor.mean,
    Tensor.reshape,
    Tensor.view,
)
_RELUS = (F.relu, torch.relu, Tensor.relu)
_ADDS = (torch.add, Tensor.add, Tensor.add_)

RULES: dict[Callable[..., Any], Callable[[Call, tuple[Any, ...], Mapping[str, Any]], Any]] = {
    torch.conv2d: _conv2d,
    F.linear: _linear,
    F.batch_norm: _batch_norm,
    **dict.fromkeys(_RELUS, _relu),
    **dict.fromkeys(_ADDS, _add),
    **dict.fromkeys(_LINEAR_MAPS, _linear_map),
}
"""Tangent rules of the usual layers; everything else is differentiated with dual numbers."""

BLIND = frozenset({*_RELUS, *_ADDS, *_LINEAR_MAPS})
"""Calls whose rule does not read the values of the inputs, so that these may be overwritten in place."""
