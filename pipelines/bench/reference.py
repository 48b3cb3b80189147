"""Algorithm 2 as it stands, which the suite's EMLC is measured against (for MLC: baselines.mlc_double_backward)."""

from copy import deepcopy

from torch import Tensor
from torch.nn import functional as F

from baselines.mlc_double_backward import DoubleBackwardMLC
from emlc.engine.contract import Batch
from emlc.metagrad import clean_feedback, fpmg_loss
from emlc.method import EMLC


class StraightforwardEMLC(EMLC):
    """Algorithm 2 as it stands: a copy of the student per step, its forward pass recomputed with dual numbers."""

    def learn(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Make k student steps on corrected labels, then one teacher step on equation 12."""
        soft_targets, ce, bce = self.teach(noisy, clean)
        inputs = noisy.inputs.chunk(len(soft_targets))
        copies = []
        for chunk, target in zip(inputs, soft_targets, strict=True):
            copies.append(deepcopy(self.student))
            loss = F.cross_entropy(self.student(chunk), target.detach())
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
        final = dict(self.student.named_parameters())
        objective, feedback = clean_feedback(self.student, final, clean.inputs, clean.labels)
        params = [dict(copy.named_parameters()) for copy in copies]
        lr = self.optimiser.param_groups[0]["lr"]
        meta = fpmg_loss(self.student, params, inputs, soft_targets, feedback, lr)
        self.teacher_optimiser.zero_grad()
        (ce + bce + meta).backward()
        self.teacher_optimiser.step()
        return {"student_loss": loss.detach(), "meta_objective": objective}


class WithoutCleanHalf(DoubleBackwardMLC):
    """MLC by double backward, the student trained on noisy samples alone and evaluated on the whole clean batch."""

    def divided(self, clean: Batch) -> tuple[Batch, Batch]:
        """Return the clean batch and an empty one."""
        return clean, clean[:0]
