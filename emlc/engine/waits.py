"""Finding, on a CPU, the places where a GPU would be waited for: where Python needs to know what a tensor holds."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

OPERATIONS = ("_local_scalar_dense", "nonzero", "masked_select", "_unique", "_unique2", "unique_dim", "equal")
"""Their result, or its shape, has to be known on the host."""
EXEMPT = ("torch.optim", "emlc.engine.streams")
"""Optimisers count their steps on the host; what a batch costs is not the method's doing."""
CALLS = ("tolist", "numpy", "cpu", "__repr__", "__array__")
"""Methods of tensors that copy to the host without an operation that could be seen on a CPU."""


@contextmanager
def noted_waits() -> Iterator[list[str]]:
    """Collect ``file:line: operation`` of every wait inside the block."""
    places: list[str] = []
    with _Calls(places), _Operations(places):
        yield places


class _Calls(TorchFunctionMode):
    def __init__(self, places: list[str]) -> None:
        super().__init__()
        self.places = places

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name in CALLS:
            _note(self.places, name)
        before = len(self.places)
        result = func(*args, **(kwargs or {}))
        if name == "one_hot" and (len(args) > 1 or kwargs):
            del self.places[before:]  # looks at its labels on a CPU alone, if the number of classes is given
        return result


class _Operations(TorchDispatchMode):
    def __init__(self, places: list[str]) -> None:
        super().__init__()
        self.places = places

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        if name in OPERATIONS or (name in ("index", "index_put", "index_put_") and _is_masked(args)):
            _note(self.places, name)
        return func(*args, **(kwargs or {}))


def _is_masked(args: Sequence[Any]) -> bool:
    """Whether an indexing needs to count what a mask keeps; putting one value wherever it does needs not."""
    masked = any(isinstance(index, Tensor) and index.dtype == torch.bool for index in args[1])
    return masked and (len(args) < 3 or args[2].numel() > 1)


def _note(places: list[str], operation: str) -> None:
    """Add the place outside of PyTorch that an operation was called from, unless it is exempt."""
    frames = list(_frames(sys._getframe(2)))
    if not any(_module(frame).startswith(EXEMPT) for frame in frames):
        caller = next(frame for frame in frames if not _module(frame).startswith(("torch.", __name__)))
        places.append(f"{caller.f_code.co_filename}:{caller.f_lineno}: {operation.strip('_')}")


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _module(frame: FrameType) -> str:
    return frame.f_globals.get("__name__", "")
