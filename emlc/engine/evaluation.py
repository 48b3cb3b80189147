"""Passes without training: scores of a method's model, and what a network says of every sample of a set."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from emlc.engine.contract import Method
from emlc.engine.samples import Samples
from emlc.engine.state import networks
from emlc.engine.streams import Batch
from emlc.models import processes
from emlc.models.batch_norm import average_statistics

Outputs = TypeVar("Outputs", Tensor, tuple[Tensor, ...])


class Score(NamedTuple):
    """Accuracy in percent and mean Cross-Entropy."""

    accuracy: float
    loss: float


@contextmanager
def evaluating(owner: Any) -> Iterator[None]:
    """Put all networks that an object holds into evaluation mode, without gradients, and back afterwards."""
    average_statistics(networks(owner))
    layers = [layer for network in networks(owner) for layer in network.modules()]
    before = [layer.training for layer in layers]
    for layer in layers:
        layer.training = False
    try:
        with torch.inference_mode():
            yield
    finally:
        for layer, mode in zip(layers, before, strict=True):
            layer.training = mode


def outputs(
    owner: Any,
    function: Callable[[Batch], Outputs],
    samples: Samples,
    view: str = "plain",
    generator: torch.Generator | None = None,
    over: Tensor | None = None,
) -> Outputs:
    """Return what a function of a batch says of every sample of a set, in the set's order.

    >>> losses = outputs(net, lambda batch: cross_entropy(net(batch.inputs), batch.labels, reduction="none"), noisy)

    Parameters
    ----------
    owner : nn.Module, Method or what else holds networks
        These are in evaluation mode meanwhile.
    function : callable
        Maps a batch of n samples to a tensor [n, ...] or a tuple of them; called without gradients.
    samples : Samples
    view : str
        How the samples are seen.
    generator : torch.Generator, optional
        Draws a view other than ``plain``.
    over : Tensor [m] of int64, optional
        The samples to ask for, in this order, instead of all N: m rows then.

    Returns
    -------
    Tensor [N, ...], or a tuple of them
        Constants of the training: gradients can be taken of functions of them, none flows into them.
    """
    with evaluating(owner):
        chunks = [function(batch) for batch in samples.batches(view, generator, over)]
    if isinstance(chunks[0], Tensor):
        return torch.cat(chunks)
    return tuple(torch.cat(parts) for parts in zip(*chunks, strict=True))


def evaluate(method: Method, samples: Samples) -> Score:
    """Score `method` on `samples` in evaluation mode; its modules are back in training mode afterwards."""
    if processes.count() > 1:
        return _evaluate_together(method, samples)
    logits = outputs(method, lambda batch: method.logits(batch.inputs), samples).float()
    accuracy = (logits.argmax(dim=1) == samples.labels).double().mean() * 100
    loss = F.cross_entropy(logits, samples.labels)
    return Score(round(accuracy.item(), 6), loss.item())


def _evaluate_together(method: Method, samples: Samples) -> Score:
    """Score each process's part of the samples and add up."""
    over = processes.part(torch.arange(len(samples), device=samples.labels.device))
    logits = outputs(method, lambda batch: method.logits(batch.inputs), samples, over=over).float()
    labels = samples.labels[over]
    right = (logits.argmax(dim=1) == labels).double().sum()
    loss = F.cross_entropy(logits, labels, reduction="sum").double()
    accuracy, mean = (processes.total(torch.stack([right * 100, loss])) / len(samples)).tolist()
    return Score(round(accuracy, 6), mean)
