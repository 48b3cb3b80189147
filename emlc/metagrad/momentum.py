"""FPMG with the coefficients that SGD with momentum and weight decay really has.

Equation 11 discounts older steps by (1 - lr)^j. Under momentum they weigh more, not less: their gradients still sit in
the velocity. The cost is that of equation 11.
"""

from emlc.metagrad.adjoint import step_weights
from emlc.metagrad.window import TargetGradients, Window, weighted_products


def momentum_fpmg(window: Window) -> TargetGradients:
    """Target gradients with the student's real step weights and the paper's Hessian = identity."""
    return _weighted(window, curvature=1.0)


def flat_momentum_fpmg(window: Window) -> TargetGradients:
    """Target gradients with the student's real step weights, curvature ignored."""
    return _weighted(window, curvature=0.0)


def _weighted(window: Window, curvature: float) -> TargetGradients:
    weights = step_weights(len(window.steps), window.lr, window.momentum, window.weight_decay, curvature)
    return weighted_products((step.jvp(window.feedback) for step in window.steps), weights)
