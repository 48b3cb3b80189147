"""Many virtual steps of one student, as MLNT takes them: one for each of several label sets of a batch."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from emlc.metagrad import Params

SMALL = 2**15
"""Parameters up to which a student takes all virtual steps at once: its kernels are too short to be worth their calls.
A larger one takes them one by one, with the activations of a single pass in memory."""


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of values [..., n] over the samples of weight 1; 0 if there are none."""
    return (values * weights).sum(dim=-1) / weights.sum().clamp(min=1)


def label_gradients(
    student: nn.Module, inputs: Tensor, labels: Tensor, weights: Tensor, *, keep_graph: bool
) -> tuple[Tensor, Params]:
    """Return the Cross-Entropy of one batch under several label sets and its gradients, from one forward pass.

    Running statistics move once.

    Parameters
    ----------
    student : nn.Module
    inputs : Tensor [n, ...]
    labels : Tensor [K, n] of int64
    weights : Tensor [n]
        0 or 1; the mean is over the ones.
    keep_graph : bool
        Whether the gradients can be differentiated again.

    Returns
    -------
    losses : Tensor [K]
        Detached.
    gradients : mapping of str to Tensor [K, ...]
        Keyed as ``named_parameters()``.
    """
    log_probabilities = student(inputs).log_softmax(dim=1)
    losses = weighted_mean(-log_probabilities.gather(1, labels.T).T, weights)
    names, parameters = zip(*student.named_parameters(), strict=True)
    each = torch.eye(len(labels), dtype=losses.dtype, device=losses.device)
    gradients = torch.autograd.grad(losses, parameters, each, is_grads_batched=True, create_graph=keep_graph)
    return losses.detach(), dict(zip(names, gradients, strict=True))


def look_ahead_gradient(
    student: nn.Module, steps: Params, inputs: Tensor, loss: Callable[[Tensor], Tensor], *, second_order: bool
) -> tuple[Tensor, Params]:
    """Return the mean of ``L(theta - s_m)`` over M virtual steps s_m and its gradient by theta.

    To first order the gradient is the mean of L's gradients at ``theta - s_m``; to second order each of them goes
    back through its step too, times I - d s_m / d theta. The student itself is left alone, running statistics included.

    Parameters
    ----------
    student : nn.Module
        At theta; used in the mode it is in.
    steps : mapping of str to Tensor [M, ...]
        s_m, keyed as ``named_parameters()``; with a graph if `second_order`.
    inputs : Tensor [n, ...]
    loss : callable
        Logits [n, C] to a scalar; has to work under ``torch.vmap``.
    second_order : bool
    """
    names, parameters = zip(*student.named_parameters(), strict=True)
    moves = tuple(steps[name] for name in names)
    together = len(moves[0]) if sum(value.numel() for value in parameters) <= SMALL else 1
    losses, gradients = [], []
    for chunk in zip(*(move.detach().split(together) for move in moves), strict=True):
        points = [value.detach() - move for value, move in zip(parameters, chunk, strict=True)]
        values, slopes = _losses_at(student, dict(zip(names, points, strict=True)), inputs, loss)
        losses.append(values)
        gradients.append(slopes)
    stacked = [torch.cat(copies) for copies in zip(*gradients, strict=True)]
    total = [copies.mean(dim=0) for copies in stacked]
    if second_order:
        bends = torch.autograd.grad(moves, parameters, stacked)
        total = [straight - bend / len(moves[0]) for straight, bend in zip(total, bends, strict=True)]
    return torch.cat(losses).mean(), dict(zip(names, total, strict=True))


def _losses_at(
    student: nn.Module, points: Params, inputs: Tensor, loss: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Sequence[Tensor]]:
    """Return the losses [K] at K stacked sets of parameters and their gradients [K, ...]."""
    count = len(next(iter(points.values())))
    buffers = {name: buffer.expand(count, *buffer.shape).clone() for name, buffer in student.named_buffers()}
    stacked = {name: value.requires_grad_() for name, value in points.items()} | buffers

    def loss_at(state: Params) -> Tensor:
        return loss(functional_call(student, state, (inputs,)))

    if count == 1:  # without the detours that batched weights take
        losses = loss_at({name: value.squeeze(0) for name, value in stacked.items()}).unsqueeze(0)
    else:
        losses = vmap(loss_at)(stacked)
    return losses.detach(), torch.autograd.grad(losses.sum(), tuple(points.values()))
