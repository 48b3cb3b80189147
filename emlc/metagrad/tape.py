"""Push tangents through a forward pass that has already happened.

Algorithm 2 needs J_w(i) v at the weights whose forward pass the student's own step has just computed. A :class:`Tape`
records the calls of that pass; :meth:`Tape.jvp` later sends a tangent along them, layer by layer, with the activations
that are already there. That is two plain forward passes of arithmetic instead of the three of dual numbers, exact to
rounding, for any module: a call without a rule in :data:`RULES` falls back to dual numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import jvp
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from emlc.metagrad.window import Params


class Call(NamedTuple):
    """One recorded call: ``output = function(*args, **kwargs)``."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Tensor
    versions: tuple[int, ...]
    """Of every tensor argument when the call was made: in-place operations raise them."""


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
        kwargs = dict(kwargs or {})
        tensors = _tensors(args, kwargs)
        versions = tuple(tensor._version for tensor in tensors)
        output = func(*args, **kwargs)
        if _is_real(output) and any(id(tensor) in self._active for tensor in tensors):
            self._calls.append(Call(func, args, kwargs, output, versions))
            self._active.add(id(output))
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
        for call in self._calls:
            tangent = _push(call, values, tangents)
            if tangent is not None:
                tangents[id(call.output)] = tangent
        logit_tangent = tangents[id(logits)]
        probabilities = torch.softmax(logits.detach(), dim=1)
        return logit_tangent - (probabilities * logit_tangent).sum(dim=1, keepdim=True)


def _tensors(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Tensor]:
    return [leaf for leaf in tree_flatten((args, kwargs))[0] if isinstance(leaf, Tensor)]


def _is_real(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _push(call: Call, values: Mapping[int, Tensor], tangents: Mapping[int, Tensor]) -> Tangent:
    """Return the tangent of one call's output, None if no argument has one."""
    leaves, structure = tree_flatten((call.args, call.kwargs))
    moved = [tangents.get(id(leaf)) if isinstance(leaf, Tensor) else None for leaf in leaves]
    if all(tangent is None for tangent in moved):
        return None
    if call.function not in BLIND:
        _refuse_overwritten(call, values)
    fixed = [values.get(id(leaf), leaf.detach()) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
    args, kwargs = tree_unflatten(fixed, structure)
    rule = RULES.get(call.function)
    if rule is None:
        return _dual_numbers(call.function, fixed, moved, structure)
    return rule(call._replace(args=args, kwargs=kwargs, output=call.output.detach()), *tree_unflatten(moved, structure))


def _refuse_overwritten(call: Call, values: Mapping[int, Tensor]) -> None:
    for tensor, version in zip(_tensors(call.args, call.kwargs), call.versions, strict=True):
        if id(tensor) not in values and tensor._version != version:
            name = getattr(call.function, "__name__", call.function)
            raise RuntimeError(f"an input of {name} was overwritten in place, so its tangent cannot be computed")


def _dual_numbers(function: Callable[..., Any], fixed: list[Any], moved: list[Tangent], structure: Any) -> Tensor:
    """Return the output's tangent of any differentiable call, recomputing its primal value."""
    places = [place for place, tangent in enumerate(moved) if tangent is not None]

    def of_moved(*primals: Tensor) -> Tensor:
        leaves = list(fixed)
        for place, primal in zip(places, primals, strict=True):
            leaves[place] = primal
        args, kwargs = tree_unflatten(leaves, structure)
        return function(*args, **kwargs)

    return jvp(of_moved, tuple(fixed[place] for place in places), tuple(moved[place] for place in places))[1]


def _sum(terms: Sequence[Tangent]) -> Tensor:
    present = [term for term in terms if term is not None]
    total = present[0]
    for term in present[1:]:
        total = total + term
    return total


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
    inputs, weight = call.args[:2]
    through_inputs = None if args[0] is None else F.linear(args[0], weight)
    through_weight = None if args[1] is None else F.linear(inputs, args[1])
    return _sum([through_inputs, through_weight, _bias(args, kwargs)])


def _batch_norm(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """Batch normalisation is y = gamma (x - mean) rstd + beta; its tangent is affine in dx and x, per channel."""
    value, tangent = _by_name(call.args, call.kwargs), _by_name(args, kwargs)
    inputs, d_inputs = value["input"], tangent["input"]
    mean, rstd = _statistics(value)
    scale = rstd if value["weight"] is None else rstd * value["weight"]
    on_inputs = torch.zeros_like(mean) if tangent["weight"] is None else tangent["weight"] * rstd
    constant = torch.zeros_like(mean) if tangent["bias"] is None else tangent["bias"]
    if d_inputs is not None and value["training"]:
        d_mean = d_inputs.mean(_axes(inputs))
        covariance = (d_inputs * inputs).mean(_axes(inputs)) - mean * d_mean
        on_inputs = on_inputs - scale * rstd.square() * covariance
        constant = constant - scale * d_mean
    shape = [1, -1] + [1] * (inputs.dim() - 2)
    affine = torch.addcmul((constant - mean * on_inputs).view(shape), inputs, on_inputs.view(shape))
    return affine if d_inputs is None else affine.addcmul_(d_inputs, scale.view(shape))


def _by_name(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
    defaults = {"weight": None, "bias": None, "training": False, "eps": 1e-5}
    return defaults | dict(zip(names, args, strict=False)) | dict(kwargs)


def _axes(inputs: Tensor) -> list[int]:
    return [axis for axis in range(inputs.dim()) if axis != 1]


def _statistics(value: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Return the mean and the reciprocal standard deviation that the recorded pass normalised with."""
    mean, variance = value["running_mean"], value["running_var"]
    if value["training"]:
        variance, mean = torch.var_mean(value["input"], dim=_axes(value["input"]), correction=0)
    return mean, (variance + value["eps"]).rsqrt()


def _relu(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    return torch.ops.aten.threshold_backward(args[0], call.output, 0)


def _add(call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """Addition: dy = da + alpha db."""
    left, right = args[0], args[1]
    scaled = None if right is None else right * call.kwargs.get("alpha", 1)
    return _sum([left, scaled]).expand_as(call.output)


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
    Tensor.mean,
    Tensor.reshape,
    Tensor.view,
)
_RELUS = (F.relu, torch.relu, Tensor.relu)
_ADDS = (torch.add, Tensor.add, Tensor.add_)

RULES: dict[Callable[..., Any], Callable[[Call, tuple[Any, ...], Mapping[str, Any]], Tensor]] = {
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
