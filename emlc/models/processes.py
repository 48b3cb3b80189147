"""On how many processes a training is computed: which part of a batch is this one's, and sums over all of them.

Several processes are those of PyTorch's default process group. With a single one every function returns what it is
given, at no cost. Every process has to call what talks to the others, in the same order.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, distributed

from emlc.records.errors import ProcessLost, SuiteError


def count() -> int:
    """Return the number of processes."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """Return which of them this is, from 0."""
    return distributed.get_rank() if count() > 1 else 0


def share(size: int) -> int:
    """Return how many of `size` samples are each process's.

    Raises
    ------
    SuiteError
        If they cannot be shared equally: means over processes would not be means over samples.
    """
    if size % count():
        raise SuiteError(f"{size} samples cannot be shared equally by {count()} processes; change one of the numbers")
    return size // count()


def whole(size: int) -> int:
    """Return how many samples all processes have if each has `size`."""
    return size * count()


def part(values: Tensor) -> Tensor:
    """Return this process's part of the samples [n, ...] of all: every `count`-th one.

    The j-th of k chunks of the parts are then the part of the j-th of k chunks of the whole.
    """
    return values if count() == 1 else values[rank() :: count()]


def positions(size: int, device: torch.device) -> Tensor:
    """Return where in the whole batch this process's `size` samples stand."""
    return part(torch.arange(whole(size), device=device))


def gathered(values: Tensor) -> Tensor:
    """Return the samples [n, ...] of all, in their order, from each process's equally large :func:`part` of them."""
    if count() == 1:
        return values
    parts = [torch.empty_like(values) for _ in range(count())]
    with _heard():
        distributed.all_gather(parts, values.contiguous())
    return torch.stack(parts, dim=1).flatten(0, 1)


def total(values: Tensor) -> Tensor:
    """Return the sum over processes; no gradient flows through it."""
    if count() == 1:
        return values
    values = values.detach().clone(memory_format=torch.contiguous_format)
    with _heard():
        distributed.all_reduce(values)
    return values


def averaged(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the mean over processes of each of some tensors of one type, by a single message."""
    if count() == 1 or not tensors:
        return tuple(tensors)
    mean = total(torch.cat([tensor.detach().flatten() for tensor in tensors])) / count()
    pieces = mean.split([tensor.numel() for tensor in tensors])
    return tuple(piece.view(tensor.shape) for piece, tensor in zip(pieces, tensors, strict=True))


def anywhere(*flags: bool) -> list[bool]:
    """Return for each flag whether it is set in any process. Asks the host's network: no GPU is waited for."""
    if count() == 1:
        return list(flags)
    return [votes > 0 for votes in total(torch.tensor(flags, dtype=torch.int64)).tolist()]


def united(names: Sequence[str]) -> list[str]:
    """Return what any process names, sorted."""
    if count() == 1:
        return list(names)
    told: list[Sequence[str]] = [()] * count()
    with _heard():
        distributed.all_gather_object(told, list(names))
    return sorted(set().union(*told))


@contextmanager
def _heard() -> Iterator[None]:
    """Tell an unanswered message from an error of this process's own."""
    try:
        yield
    except RuntimeError as error:
        raise ProcessLost(" ".join(str(error).split())[:200]) from error
