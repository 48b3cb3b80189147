"""Fast and Precise Meta Gradients, the paper's Algorithm 2 (equations 10 and 11)."""

from collections.abc import Sequence

from torch import Tensor, nn

from emlc.metagrad.jvp import dual_jvp
from emlc.metagrad.window import Params, TargetGradients, Window, surrogate_loss, weighted_products


def discounted_weights(k: int, lr: float, discount: float) -> list[float]:
    """Return lr gamma^(t - tau) for the last k steps, oldest first."""
    return [lr * discount ** (k - 1 - position) for position in range(k)]


def fpmg(window: Window) -> TargetGradients:
    """Target gradients of equation 11, gamma = 1 - lr; equation 10 for one step (then exact)."""
    weights = discounted_weights(len(window.steps), window.lr, 1 - window.lr)
    return weighted_products((step.jvp(window.feedback) for step in window.steps), weights)


def fpmg_loss(
    student: nn.Module,
    snapshots: Sequence[Params],
    noisy_inputs: Sequence[Tensor],
    soft_targets: Sequence[Tensor],
    feedback: Params,
    lr: float,
    discount: float | None = None,
) -> Tensor:
    """Return a scalar whose gradient by the teacher's parameters is the meta-gradient.

    Equation 10 for one step, equation 11 for more (each step averaged over its own n; the Jacobian of each step at
    its own parameters, as equation 11 says and Algorithm 2 misprints).

    Parameters
    ----------
    student : nn.Module
        Gives logits [n, C]; used in the mode it is in, running statistics untouched.
    snapshots : sequence of k mappings of str to Tensor
        The parameters w(t-k+1) .. w(t), oldest first, keyed as ``named_parameters()``.
    noisy_inputs : sequence of k Tensors [n, ...]
    soft_targets : sequence of k Tensors [n, C]
        The teacher's corrected labels, attached to its graph.
    feedback : mapping of str to Tensor
        g_w, the gradient of the clean loss at w(t+1); see :func:`feedback_gradient`.
    lr : float
        The student's learning rate eta_w.
    discount : float, optional
        gamma_w; 1 - lr if not given.

    Returns
    -------
    Tensor
        Scalar.

    Raises
    ------
    ValueError
        If the three sequences differ in length.
    """
    weights = discounted_weights(len(snapshots), lr, 1 - lr if discount is None else discount)
    products = (
        dual_jvp(student, params, inputs, feedback) for params, inputs in zip(snapshots, noisy_inputs, strict=True)
    )
    return surrogate_loss(weighted_products(products, weights), soft_targets)
