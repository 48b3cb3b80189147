"""Clean only: Cross-Entropy on the small clean set alone, with as many steps as everybody else.

Not a row of the paper's Table 1. It says how much of a method's accuracy the clean set gives by itself.
"""

from torch import Tensor

from baselines.cross_entropy import CrossEntropy
from emlc.engine.contract import Batch


class CleanOnly(CrossEntropy):
    """Mini-batch SGD on mean Cross-Entropy over the clean set."""

    shared = True
    learns_from_clean = True

    def learn(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Take one SGD step on the clean batch."""
        return super().learn(clean, clean)


METHOD = CleanOnly
