"""Meta-gradients: how the student's clean loss after k steps depends on the soft labels it was trained on.

One file each, all of one shape: a :class:`Window` of k student steps in, one derivative per step's soft targets out.
:func:`surrogate_loss` turns them into a scalar whose backward pass gives the teacher its meta-gradient.

>>> from emlc.metagrad import META_GRADIENTS
>>> sorted(META_GRADIENTS)
['finite-difference', 'fpmg', 'fpmg-flat-momentum', 'fpmg-momentum', 'fpmg-released', 'mlc', 'unrolled']
"""

from emlc.metagrad.feedback import clean_feedback, feedback_gradient
from emlc.metagrad.finite_difference import finite_difference
from emlc.metagrad.fpmg import fpmg, fpmg_loss
from emlc.metagrad.jvp import dual_jvp
from emlc.metagrad.mlc import mlc_recursion
from emlc.metagrad.momentum import flat_momentum_fpmg, momentum_fpmg
from emlc.metagrad.released import released_fpmg
from emlc.metagrad.unrolled import unrolled
from emlc.metagrad.window import MetaGradient, Params, Step, TargetGradients, Window, surrogate_loss

META_GRADIENTS: dict[str, MetaGradient] = {
    "fpmg": fpmg,
    "fpmg-momentum": momentum_fpmg,
    "fpmg-flat-momentum": flat_momentum_fpmg,
    "fpmg-released": released_fpmg,
    "finite-difference": finite_difference,
    "mlc": mlc_recursion,
    "unrolled": unrolled,
}
"""The name a profile uses -> the function."""

__all__ = [
    "META_GRADIENTS",
    "MetaGradient",
    "Params",
    "Step",
    "TargetGradients",
    "Window",
    "clean_feedback",
    "dual_jvp",
    "feedback_gradient",
    "fpmg_loss",
    "surrogate_loss",
]
