"""Jacobian-vector products of the student's log-probabilities by dual numbers (forward-mode differentiation)."""

import torch
from torch import Tensor, nn
from torch.func import jvp
from torch.nn import functional as F

from emlc.metagrad.window import Params, logits_at
from emlc.records.errors import SuiteError


def dual_jvp(student: nn.Module, params: Params, inputs: Tensor, direction: Params) -> Tensor:
    """Return ``J_w(log p_w(y | x_i)) v`` for every sample, shape [n, C].

    One forward pass with dual numbers: about three plain forward passes of arithmetic, no graph kept (Algorithm 2,
    line 6, for the whole batch at once).

    Parameters
    ----------
    student : nn.Module
        Gives logits [n, C]; used in the mode it is in, running statistics untouched.
    params : mapping of str to Tensor
        Where the Jacobian is taken, keyed as ``named_parameters()``.
    inputs : Tensor [n, ...]
    direction : mapping of str to Tensor
        v, keyed as `params`.

    Raises
    ------
    SuiteError
        If the student computes in bfloat16: PyTorch's dual numbers mix types there.
    """
    if getattr(student, "precision", "float32") == "bfloat16":
        raise SuiteError("dual numbers do not work in bfloat16; use the tape (forward: taped) or another precision")

    def log_probabilities(weights: Params) -> Tensor:
        return F.log_softmax(logits_at(student, weights, inputs), dim=1)

    primal = {name: value.detach() for name, value in params.items()}
    tangent = {name: direction[name].detach() for name in primal}
    with torch.no_grad():
        return jvp(log_probabilities, (primal,), (tangent,))[1]
