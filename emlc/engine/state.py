"""What an object holds, wherever it holds it: its networks, and all that a resumed run needs of it.

Attributes are followed through lists, tuples, dictionaries and objects of any class. What has a ``state_dict`` speaks
for itself: networks, optimisers, streams.
"""

import types
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from emlc.engine.samples import Samples
from emlc.engine.setting import Setting, Training

_GIVEN = (
    *(Setting, Training, Samples, torch.device, torch.dtype),
    *(type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType),
)
"""What the profile and the code decide, and no training changes."""
_PLAIN = (type(None), bool, int, float, str)
Kind = TypeVar("Kind")


def networks(owner: Any) -> list[nn.Module]:
    """Return the outermost networks that an object holds, each once, in the order of its attributes."""
    return found(owner, nn.Module)


def found(owner: Any, kind: type[Kind]) -> list[Kind]:
    """Return the outermost objects of a kind that an object holds, each once, in the order of its attributes."""
    them: dict[int, Kind] = {}
    _collect(owner, kind, them, set())
    return list(them.values())


def _collect(value: Any, kind: type[Kind], them: dict[int, Kind], seen: set[int]) -> None:
    if isinstance(value, kind):
        them[id(value)] = value
    elif id(value) not in seen and _has_parts(value):
        seen.add(id(value))
        for part in parts(value).values():
            _collect(part, kind, them, seen)


def modes(owner: Any) -> list[list[bool]]:
    """Return whether each layer is in training mode, then whether each parameter is trained, network by network."""
    return [
        [*(layer.training for layer in network.modules()), *(value.requires_grad for value in network.parameters())]
        for network in networks(owner)
    ]


def set_modes(owner: Any, saved: list[list[bool]]) -> None:
    """Put the networks of an object back into what :func:`modes` returned."""
    for network, flags in zip(networks(owner), saved, strict=True):
        layers, parameters = list(network.modules()), list(network.parameters())
        for layer, flag in zip(layers, flags, strict=False):
            layer.training = flag
        for parameter, flag in zip(parameters, flags[len(layers) :], strict=True):
            parameter.requires_grad_(flag)


def state_of(value: Any, name: str = "", inside: tuple[int, ...] = ()) -> dict[str, Any]:
    """Return all that :func:`restored` needs to give an object of the same making the same content.

    Parameters
    ----------
    value : Any
    name : str
        How to call it in an error.
    inside : tuple of int
        The ``id`` of every object around it.

    Raises
    ------
    TypeError
        If something has a type that no checkpoint can hold: a run that goes on without it would be another.
    """
    if hasattr(value, "state_dict"):
        return {"state_dict": value.state_dict()}
    if isinstance(value, torch.Generator):
        return {"generator": value.get_state()}
    if _is_plain(value):
        return {"plain": value}
    if not _has_parts(value) or id(value) in inside:
        raise TypeError(f"attribute {name} is a {type(value).__name__}, which no checkpoint can hold")
    held = parts(value).items()
    return {"parts": {key: state_of(part, f"{name}.{key}".lstrip("."), (*inside, id(value))) for key, part in held}}


def restored(current: Any, saved: Mapping[str, Any], device: torch.device, name: str = "") -> Any:
    """Return `current` with the content that :func:`state_of` has saved of its like, or what replaces it.

    Raises
    ------
    TypeError
        If the two are not alike: something that ``__init__`` does not make.
    """
    return _restored(current, saved, _Mover(device), name)


def _restored(current: Any, saved: Mapping[str, Any], mover: "_Mover", name: str) -> Any:
    ((kind, content),) = saved.items()
    if kind == "plain":
        return _filled(current, mover(content))
    if kind == "state_dict" and hasattr(current, "load_state_dict"):
        current.load_state_dict(content)
        return current
    if kind == "generator" and isinstance(current, torch.Generator):
        current.set_state(content)
        return current
    if kind != "parts" or not _has_parts(current) or parts(current).keys() != content.keys():
        raise TypeError(f"attribute {name} was made while training; make it in __init__, for a resumed run to have it")
    held = parts(current)
    news = {key: _restored(held[key], node, mover, f"{name}.{key}".lstrip(".")) for key, node in content.items()}
    return _with_parts(current, news)


def _filled(current: Any, value: Any) -> Any:
    """Return the value; a tensor that is trained stays the object that its optimiser knows."""
    if isinstance(current, Tensor) and current.requires_grad and current.is_leaf:
        current.data = value.detach()
        return current
    return value


def _with_parts(current: Any, news: dict[Any, Any]) -> Any:
    """Return a container or an object with other parts: itself wherever it can be changed."""
    if isinstance(current, tuple):
        values = {**dict(enumerate(current)), **news}.values()
        return type(current)(*values) if hasattr(current, "_fields") else type(current)(values)
    for key, part in news.items():
        if isinstance(current, list | dict):
            current[key] = part
        else:
            object.__setattr__(current, key, part)  # a frozen dataclass too
    return current


def parts(value: Any) -> dict[Any, Any]:
    """Return what a value that is no leaf is made of, without what is given."""
    if isinstance(value, dict):
        held = value
    else:
        held = dict(enumerate(value)) if isinstance(value, list | tuple) else vars(value)
    return {key: part for key, part in held.items() if not isinstance(part, _GIVEN)}


def _has_parts(value: Any) -> bool:
    """Whether a value is a container, or an object of somebody's class."""
    if isinstance(value, (Tensor, torch.Generator, types.MethodType, *_GIVEN)):
        return False
    return isinstance(value, dict | list | tuple) or hasattr(value, "__dict__")


def _is_plain(value: Any) -> bool:
    """Whether a value is a tensor, number or text, or lists, tuples and dictionaries of them."""
    if type(value) is dict:
        return all(map(_is_plain, (*value.keys(), *value.values())))
    if type(value) in (list, tuple):
        return all(map(_is_plain, value))
    return isinstance(value, Tensor) or type(value) in _PLAIN


class _Mover:
    """Brings plain values to a device; what was one object in two places stays one."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.moved: dict[int, Any] = {}

    def __call__(self, value: Any) -> Any:
        if id(value) not in self.moved:
            self.moved[id(value)] = self._moved(value)
        return self.moved[id(value)]

    def _moved(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self(part) for part in value)
        return value.to(self.device) if isinstance(value, Tensor) else value
