"""MLC's k-step meta-gradient: a recursion with an estimated discount (Zheng et al. 2021, equation 6; microsoft/MLC)."""

import torch
from torch import Tensor

from emlc.metagrad.feedback import feedback_gradient
from emlc.metagrad.window import Params, TargetGradients, Window


def _dot(left: Params, right: Params) -> Tensor:
    return torch.stack([torch.sum(left[name] * right[name]) for name in left]).sum()


def mlc_discount(lr: float, after: Params, before: Params) -> Tensor:
    """Return gamma = (1 - lr) <g', g> / |g|^2, the estimated share of the history that survives one step.

    Parameters
    ----------
    lr : float
    after, before : mapping of str to Tensor
        g' and g, the clean gradients after and before the step.
    """
    return (1 - lr) * _dot(after, before) / _dot(before, before).clamp_min(torch.finfo(torch.float32).tiny)


def mlc_recursion(window: Window) -> TargetGradients:
    """Target gradients of D_t = G1_t + gamma_t D_(t-1), every step with the window's clean batch.

    Step tau contributes its one-step meta-gradient (feedback at w(tau+1)) times the discounts of all later steps. For
    one step this is equation 10, hence exact.
    """
    trajectory = [step.params for step in window.steps] + [window.final]
    clean = window.clean_inputs, window.clean_labels
    feedbacks = [feedback_gradient(window.student, params, *clean) for params in trajectory[:-1]] + [window.feedback]
    gradients: list[Tensor] = []
    for step, before, after in zip(window.steps, feedbacks[:-1], feedbacks[1:], strict=True):
        survived = mlc_discount(window.lr, after, before)
        gradients = [survived * gradient for gradient in gradients]
        gradients.append(step.jvp(after) * (window.lr / len(step.inputs)))
    return tuple(gradients)
