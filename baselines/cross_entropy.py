"""Cross-Entropy on the noisy labels: no clean data, no correction."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from emlc.engine.contract import Batch, Method, Setting, student_sgd


@dataclass(frozen=True)
class Options:
    """Cross-Entropy has no hyper-parameters of its own."""


class CrossEntropy(Method):
    """Mini-batch SGD on mean Cross-Entropy with the given labels."""

    Options = Options

    def __init__(self, setting: Setting, options: Options) -> None:
        super().__init__(setting)
        self.student = setting.build("student")
        self.optimiser = student_sgd(self.student, setting.training)

    def step(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Take one SGD step on the noisy batch."""
        loss = F.cross_entropy(self.student(noisy.inputs), noisy.labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return {"student_loss": loss.detach()}


METHOD = CrossEntropy
