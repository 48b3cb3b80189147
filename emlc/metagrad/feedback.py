"""The student's feedback: the gradient of its loss on clean data."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from emlc.metagrad.window import Params, logits_at
from emlc.models import processes


def feedback_gradient(
    student: nn.Module, params: Params, clean_inputs: Tensor, clean_labels: Tensor
) -> dict[str, Tensor]:
    """Return g_w, the gradient of the mean clean Cross-Entropy at `params` (Proposition 1).

    Weight decay is no part of it. Running statistics of the student are left alone. Where several processes share the
    clean batch it is the mean over theirs.

    Parameters
    ----------
    student : nn.Module
        Gives logits [m, C]; used in the mode it is in.
    params : mapping of str to Tensor
        w(t+1), keyed as ``named_parameters()``.
    clean_inputs : Tensor [m, ...]
    clean_labels : Tensor [m] of int64, or [m, C] of probabilities
    """
    return clean_feedback(student, params, clean_inputs, clean_labels)[1]


def clean_feedback(
    student: nn.Module, params: Params, clean_inputs: Tensor, clean_labels: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the clean loss at `params` (the meta-objective of Fig. 5) and its gradient, as above."""
    with torch.enable_grad():
        point = {name: value.detach().requires_grad_() for name, value in params.items()}
        loss = F.cross_entropy(logits_at(student, point, clean_inputs), clean_labels)
        gradients = torch.autograd.grad(loss, tuple(point.values()), materialize_grads=True)
    return loss.detach(), dict(zip(point, processes.averaged(gradients), strict=True))
