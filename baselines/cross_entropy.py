"""Cross-Entropy on the noisy labels: no clean data, no correction."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from emlc.engine.contract import Batch, StudentMethod


@dataclass(frozen=True)
class Options:
    """Cross-Entropy has no hyper-parameters of its own."""


class CrossEntropy(StudentMethod):
    """Mini-batch SGD on mean Cross-Entropy with the given labels."""

    Options = Options
    learns_from_clean = False
    shared = True

    def learn(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Take one SGD step on the noisy batch."""
        loss = F.cross_entropy(self.student(noisy.inputs), noisy.labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {"student_loss": loss.detach()}


METHOD = CrossEntropy
