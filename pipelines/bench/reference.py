"""EMLC and MLC written straight from their descriptions: what the suite's implementations are measured against.

No activation is kept: EMLC's student is copied and a Jacobian-vector product recomputes the forward pass, MLC
differentiates its student's gradient by double backward.
"""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.mlc import MLC, halves
from emlc.engine.contract import Batch
from emlc.metagrad import Params, clean_feedback, fpmg_loss
from emlc.metagrad.mlc import mlc_discount
from emlc.method import EMLC


class StraightforwardEMLC(EMLC):
    """Algorithm 2 as it stands: a copy of the student per step, its forward pass recomputed with dual numbers."""

    def step(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Make k student steps on corrected labels, then one teacher step on equation 12."""
        soft_targets, ce, bce = self.teach(noisy, clean)
        inputs = noisy.inputs.chunk(self.look_ahead)
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


class StraightforwardMLC(MLC):
    """One-step MLC by double backward, half of each clean batch in the student's loss (the published default).

    Like microsoft/MLC it differentiates by every leaf of the graph, and takes the clean gradient before the step too,
    for the discount of a history that one-step meta-gradients do not have.
    """

    def step(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Differentiate <g', grad_w L(w, alpha)> by alpha through the graph of the student's gradient."""
        evaluation, training = self._parts(clean)
        params = dict(self.student.named_parameters())
        before = clean_feedback(self.student, params, evaluation.inputs, evaluation.labels)[1]
        loss = self._student_loss(noisy, training)
        gradients = torch.autograd.grad(loss, tuple(params.values()), create_graph=True)
        virtual = self._virtual(params, gradients)
        objective, after = clean_feedback(self.student, virtual, evaluation.inputs, evaluation.labels)
        lr = self.optimiser.param_groups[0]["lr"]
        products = [(gradient * after[name]).sum() for name, gradient in zip(params, gradients, strict=True)]
        self.teacher_optimiser.zero_grad()
        (-lr * torch.stack(products).sum()).backward()
        survived = mlc_discount(lr, after, before)
        for parameter, history in zip(self.teacher.parameters(), self.accumulated, strict=True):
            parameter.grad += survived * history
        self.teacher_optimiser.step()
        for parameter, gradient in zip(params.values(), gradients, strict=True):
            parameter.grad = gradient.detach().clone()
        self.optimiser.step()
        return {"student_loss": loss.detach(), "meta_objective": objective}

    @torch.no_grad()
    def _virtual(self, params: Params, gradients: Sequence[Tensor]) -> Params:
        """Return what the student's SGD would make of its parameters."""
        group = self.optimiser.param_groups[0]
        virtual = {}
        for (name, value), gradient in zip(params.items(), gradients, strict=True):
            velocity = group["momentum"] * self.optimiser.velocity(value) + gradient + group["weight_decay"] * value
            virtual[name] = value - group["lr"] * velocity
        return virtual

    def _student_loss(self, noisy: Batch, training: Batch) -> Tensor:
        """Return the mean over the corrected noisy samples and the clean ones, attached to the teacher."""
        features = self.student.features(noisy.inputs)
        target = self.teacher(features.detach(), noisy.labels)
        loss = F.cross_entropy(self.student.classifier(features), target)
        if not len(training.labels):
            return loss
        share = len(training.labels) / (len(training.labels) + len(noisy.labels))
        return (1 - share) * loss + share * F.cross_entropy(self.student(training.inputs), training.labels)

    def _parts(self, clean: Batch) -> tuple[Batch, Batch]:
        return halves(clean)


class StraightforwardMLCWithoutCleanHalf(StraightforwardMLC):
    """The same with the student trained on noisy samples alone and evaluated on the whole clean batch."""

    def _parts(self, clean: Batch) -> tuple[Batch, Batch]:
        return clean, Batch(clean.inputs[:0], clean.labels[:0], clean.indices[:0])
