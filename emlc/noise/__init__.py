"""Label noise: transition matrices and how labels are drawn from them."""

from emlc.noise.matrices import corrupt, transition_matrix

__all__ = ["corrupt", "transition_matrix"]
