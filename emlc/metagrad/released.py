"""What the released EMLC code computes for k > 1 (MitchellKT/Enhanced-Meta-Label-Correction, commit 4ef6fe0)."""

from emlc.metagrad.fpmg import fpmg
from emlc.metagrad.window import TargetGradients, Window


def released_fpmg(window: Window) -> TargetGradients:
    """Target gradients as released: step j gets those of step k-1-j, and one mean over all k n samples.

    The code concatenates the Jacobian-vector products from the last step to the first while the soft labels stay in
    temporal order, and divides by k n instead of n. For one step it equals :func:`~emlc.metagrad.fpmg.fpmg`.
    """
    gradients = fpmg(window)
    return tuple(gradient / len(gradients) for gradient in reversed(gradients))
