"""Equation 11 with central differences in place of Jacobian-vector products. Not exact: see :data:`RELATIVE_STEP`."""

import torch
from torch import Tensor
from torch.nn import functional as F

from emlc.metagrad.fpmg import discounted_weights
from emlc.metagrad.window import Params, Step, TargetGradients, Window, logits_at, weighted_products

RELATIVE_STEP = {torch.float32: 1e-5, torch.float64: 1e-7}
"""Step length as a share of |w| / |v|. Rounding limits it from below and ReLU kinks from above; in float32 an error of
about 0.5 % remains at the best length."""


def finite_difference(window: Window) -> TargetGradients:
    """Target gradients of equation 11, every product J v from two forward passes."""
    weights = discounted_weights(len(window.steps), window.lr, 1 - window.lr)
    return weighted_products((_difference_jvp(window, step) for step in window.steps), weights)


def _norm(values: Params) -> Tensor:
    return torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(value) for value in values.values()]))


def _difference_jvp(window: Window, step: Step) -> Tensor:
    direction = window.feedback
    length = RELATIVE_STEP[step.inputs.dtype] * _norm(step.params) / _norm(direction).clamp_min(1e-30)

    def log_probabilities(sign: int) -> Tensor:
        moved = {name: value + sign * length * direction[name] for name, value in step.params.items()}
        return F.log_softmax(logits_at(window.student, moved, step.inputs), dim=1)

    with torch.no_grad():
        return (log_probabilities(1) - log_probabilities(-1)) / (2 * length)
