"""Push tangents through a forward pass that has already happened.

Algorithm 2 needs J_w(i) v at the weights whose forward pass the student's own step has just computed. A :class:`Tape`
records the calls of that pass; :meth:`Tape.jvp` later sends a tangent along them, layer by layer, with the activations
that are already there. That is two plain forward passes of arithmetic instead of the three of dual numbers, exact to
rounding, for any module: a call without a rule in :data:`emlc.metagrad.rules.RULES` falls back to dual numbers.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import jvp
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from emlc.metagrad.rules import BLIND, RANDOM, RELUS, RULES, Call
from emlc.metagrad.window import Params
from emlc.models.batch_norm import synchronised_batch_norm
from emlc.models.precision import as_computed


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
        if func in RANDOM and _is_training(func, args, kwargs):
            raise RuntimeError(
                f"{func.__name__} would draw anew: no tangent can follow it; put the layer into eval mode"
            )
        versions = _versions(tensors)
        output = func(*args, **kwargs)
        outputs = [tensor for tensor in _tensors(output) if tensor.is_floating_point()]
        if outputs:
            versions += _versions(_tensors(output))
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
            If an activation that a rule has to read was overwritten by an in-place operation. The recorded pass itself
            refuses dropout in training mode.
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


def _is_training(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments["training"]


def _versions(tensors: Iterable[Tensor]) -> tuple[int, ...]:
    return tuple(tensor._version for tensor in tensors)


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return nested arguments with every leaf replaced by what `change` makes of it."""
    if isinstance(value, tuple | list):
        return type(value)([_mapped(part, change) for part in value])
    if isinstance(value, dict):
        return {key: _mapped(part, change) for key, part in value.items()}
    return change(value)


def _statistics(function: Callable[..., Any], output: Any) -> tuple[Tensor, Tensor] | None:
    """Return what autograd keeps of a batch normalisation in training mode, if it does."""
    if function is synchronised_batch_norm:
        return output.grad_fn.statistics
    node = output.grad_fn if function is F.batch_norm else None
    if not hasattr(node, "_saved_result1") or not len(node._saved_result1):
        return None
    return node._saved_result1, node._saved_result2


def _push(call: Call, values: Mapping[int, Tensor], tangents: Mapping[int, Tensor]) -> Any:
    """Return the tangent of one call's output, nested like it."""
    _refuse_overwritten(call, values)
    # Only tensors have ids among them: every other object that lives as long as these has an id of its own.
    args, kwargs = _mapped((call.args, call.kwargs), lambda leaf: values.get(id(leaf), leaf))
    moved, moved_kwargs = _mapped((call.args, call.kwargs), lambda leaf: tangents.get(id(leaf)))
    rule = RULES.get(call.function, _dual_numbers)
    with as_computed(next(_tensors(call.output))):
        return rule(call._replace(args=args, kwargs=kwargs), moved, moved_kwargs)


def _refuse_overwritten(call: Call, values: Mapping[int, Tensor]) -> None:
    name = getattr(call.function, "__name__", call.function)
    for tensor, version in _read_by_rule(call):
        if tensor._version != version and id(tensor) not in values:
            raise RuntimeError(f"what {name} read or returned was overwritten in place: its tangent is lost")


def _read_by_rule(call: Call) -> Iterable[tuple[Tensor, int]]:
    """Return the tensors whose values the tangent of a call depends on, with the versions that they should have."""
    if call.function in BLIND:
        return []
    if call.function in RELUS:
        return [(call.output, call.versions[-1])]
    return zip(_tensors((call.args, call.kwargs)), call.versions, strict=False)


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
