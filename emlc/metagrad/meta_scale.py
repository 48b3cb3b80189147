"""How the two halves of the teacher's gradient are put together: supervised losses and meta-gradient (equation 12).

On small networks the supervised gradient is orders of magnitude longer than the meta-gradient, which carries the
student's learning rate as a factor. ``parity`` asks what the meta-gradient does when it counts as much.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from emlc.models import processes

Parts = Iterable[tuple[str, list[nn.Parameter]]]
"""Names and parameters of the teacher's parts."""


def as_published(supervised: Tensor, meta: Tensor, parts: Parts) -> None:
    """Fill the gradients of all parameters with that of the sum."""
    (supervised + meta).backward()


def to_parity(supervised: Tensor, meta: Tensor, parts: Parts) -> None:
    """Fill the gradients with the supervised one plus the meta-gradient, scaled to the same length part by part.

    A part that either of the two leaves alone gets the plain sum.
    """
    for _, parameters in parts:
        taught, learnt = _gradient(supervised, parameters), _gradient(meta, parameters)
        lengths = norm(taught), norm(learnt)
        scale = torch.where(lengths[0] * lengths[1] > 0, lengths[0] / lengths[1].clamp_min(TINY), 1.0)
        for parameter, first, second in zip(parameters, taught, learnt, strict=True):
            parameter.grad = first + scale * second


TINY = 1e-30
"""Keeps the ratio finite where the meta-gradient is zero."""


def _gradient(loss: Tensor, parameters: list[nn.Parameter]) -> tuple[Tensor, ...]:
    """Return the gradient of a loss; a length is that of the mean over processes, so it is taken here already."""
    return processes.averaged(torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True))


def norm(values: Iterable[Tensor]) -> Tensor:
    """Return the Euclidean length of all `values` together."""
    return torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(value) for value in values]))


META_SCALES: dict[str, Callable[[Tensor, Tensor, Parts], None]] = {"paper": as_published, "parity": to_parity}
"""A profile's ``meta_scale`` -> function."""
