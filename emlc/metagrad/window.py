"""What happened between two teacher updates: the k student steps that a meta-gradient looks back on."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

Params = Mapping[str, Tensor]


@dataclass(frozen=True)
class Step:
    """One student step w(tau) -> w(tau+1) on a noisy batch.

    Attributes
    ----------
    params : mapping of str to Tensor
        The student's parameters w(tau) before the step, keyed as ``named_parameters()``.
    inputs : Tensor [n, ...]
    soft_targets : Tensor [n, C]
        The teacher's corrected labels q for this batch (attached to the teacher's graph or not).
    jvp : callable
        Maps a direction v (keyed as `params`) to the Jacobian-vector products
        ``J_w(log p_w(y | x_i)) v`` at w(tau), shape [n, C].
    """

    params: Params
    inputs: Tensor
    soft_targets: Tensor
    jvp: Callable[[Params], Tensor]


@dataclass(frozen=True)
class Window:
    """The k steps between two teacher updates and the clean feedback at their end.

    Attributes
    ----------
    student : nn.Module
        Gives logits [n, C]; called functionally, in the mode (train or eval) it is in.
    steps : tuple of Step
        Oldest first: tau = t-k+1 .. t.
    final : mapping of str to Tensor
        w(t+1), the parameters after the last step.
    feedback : mapping of str to Tensor
        g_w, the gradient of the clean loss at `final`.
    clean_inputs, clean_labels : Tensor [m, ...], Tensor [m]
        The clean batch that `feedback` was taken on.
    lr, momentum, weight_decay : float
        Of the student's SGD: v <- momentum v + g + weight_decay w; w <- w - lr v.
    velocity : mapping of str to Tensor
        The momentum buffers v before the oldest step (zeros at the start of training).
    """

    student: nn.Module
    steps: tuple[Step, ...]
    final: Params
    feedback: Params
    clean_inputs: Tensor
    clean_labels: Tensor
    lr: float
    momentum: float
    weight_decay: float
    velocity: Params


TargetGradients = tuple[Tensor, ...]
"""One tensor [n, C] per step: the derivative of the clean loss by that step's soft targets."""

MetaGradient = Callable[[Window], TargetGradients]


def logits_at(student: nn.Module, params: Params, inputs: Tensor) -> Tensor:
    """Return the student's logits [n, C] at `params`, leaving its running statistics alone."""
    buffers = {name: buffer.clone() for name, buffer in student.named_buffers()}
    return functional_call(student, ({**params, **buffers},), (inputs,))


def weighted_products(products: Iterable[Tensor], weights: Sequence[float]) -> TargetGradients:
    """Return each step's Jacobian-vector products [n, C] times its weight, averaged over its own n samples."""
    return tuple(product * (weight / len(product)) for product, weight in zip(products, weights, strict=True))


def surrogate_loss(gradients: TargetGradients, soft_targets: Sequence[Tensor]) -> Tensor:
    """Return the scalar sum of <G_tau, q_tau>, whose gradient by the teacher is the meta-gradient.

    The teacher acts on the clean loss through its soft targets alone, so the chain rule needs nothing but the
    target gradients G, taken as constants.
    """
    products = [(gradient.detach() * target).sum() for gradient, target in zip(gradients, soft_targets, strict=True)]
    return torch.stack(products).sum()
