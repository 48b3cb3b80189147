"""MLC with its meta-gradient by double backward, as microsoft/MLC computes it: the same numbers, another cost.

It is here for the timing of section 4.3: what EMLC's paper calls MLC's computation time is the time of this.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from baselines.mlc import MLC
from emlc.engine.contract import Batch
from emlc.metagrad import clean_feedback
from emlc.metagrad.mlc import mlc_discount


class _WithFeatures(nn.Module):
    """The student returning both what it predicts and from what."""

    def __init__(self, student: nn.Module) -> None:
        super().__init__()
        self.student = student

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        features = self.student.features(inputs)
        return features, self.student.classifier(features)


class DoubleBackwardMLC(MLC):
    """The student's gradient stays in the graph and is differentiated once more, by the soft labels' network.

    Like the released code it differentiates by every leaf of the graph, the student's weights among them, and takes the
    clean gradient before and after every student step, also where k = 1 leaves the first without a use.
    """

    def learn(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Take one student step on soft labels, then add its meta-gradient; every k-th time update the teacher."""
        evaluation, training = self.divided(clean)
        before = {name: value.detach().clone().requires_grad_() for name, value in self.student.named_parameters()}
        loss = self._loss(before, noisy, training)
        gradients = torch.autograd.grad(loss, tuple(before.values()), create_graph=True)
        earlier = clean_feedback(self.student, before, evaluation.inputs, evaluation.labels)[1]
        for parameter, gradient in zip(self.student.parameters(), gradients, strict=True):
            parameter.grad = gradient.detach().clone()  # the optimiser uses its gradients up
        self.optimiser.step()
        after = dict(self.student.named_parameters())
        objective, feedback = clean_feedback(self.student, after, evaluation.inputs, evaluation.labels)
        lr = self.optimiser.param_groups[0]["lr"]
        products = zip(gradients, feedback.values(), strict=True)
        meta = -lr * torch.stack([(gradient * direction).sum() for gradient, direction in products]).sum()
        self.teacher_optimiser.zero_grad()
        meta.backward()
        newest = [parameter.grad for parameter in self.teacher.parameters()]
        discount = mlc_discount(lr, feedback, earlier)
        self._accumulate(newest, discount if self.steps_taken % self.options.gradient_steps else 0.0)
        return {"student_loss": loss.detach(), "meta_objective": objective}

    def _loss(self, params: Mapping[str, Tensor], noisy: Batch, clean: Batch) -> Tensor:
        """Return the student's loss at `params`, attached to them and to the teacher."""
        student = _WithFeatures(self.student)
        weights = {f"student.{name}": value for name, value in params.items()}
        features, logits = functional_call(student, weights, (noisy.inputs,))
        soft_targets = self.teacher(features.detach(), noisy.labels)
        noisy_loss, sizes = F.cross_entropy(logits, soft_targets), (len(noisy.labels), len(clean.labels))
        if not sizes[1]:
            return noisy_loss
        clean_loss = F.cross_entropy(functional_call(student, weights, (clean.inputs,))[1], clean.labels)
        return (sizes[0] * noisy_loss + sizes[1] * clean_loss) / sum(sizes)


METHOD = DoubleBackwardMLC
