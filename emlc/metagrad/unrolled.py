"""The exact meta-gradient: double backward through the student's k real optimiser steps."""

import torch
from torch import Tensor
from torch.nn import functional as F

from emlc.metagrad.window import Params, TargetGradients, Window, logits_at


def unrolled(window: Window) -> TargetGradients:
    """Target gradients by differentiating the clean loss through every update of the window.

    Nothing is approximated: momentum, weight decay, curvature and batch normalisation are all in the graph. Memory
    grows with k; this is the reference, not the fast way.
    """
    targets = tuple(step.soft_targets.detach().requires_grad_() for step in window.steps)
    with torch.enable_grad():
        final = _replay(window, targets)
        clean_loss = F.cross_entropy(logits_at(window.student, final, window.clean_inputs), window.clean_labels)
        return torch.autograd.grad(clean_loss, targets)


def _replay(window: Window, targets: tuple[Tensor, ...]) -> Params:
    params = {name: value.detach().requires_grad_() for name, value in window.steps[0].params.items()}
    velocity = {name: window.velocity[name].detach() for name in params}
    for step, target in zip(window.steps, targets, strict=True):
        loss = F.cross_entropy(logits_at(window.student, params, step.inputs), target)
        gradients = torch.autograd.grad(loss, tuple(params.values()), create_graph=True, materialize_grads=True)
        velocity = {
            name: window.momentum * velocity[name] + gradient + window.weight_decay * params[name]
            for name, gradient in zip(params, gradients, strict=True)
        }
        params = {name: value - window.lr * velocity[name] for name, value in params.items()}
    return params
