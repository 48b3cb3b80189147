"""Meta Label Correction (Zheng, Awadallah, Dumais, AAAI 2021; microsoft/MLC)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from emlc.engine.contract import Batch, Setting, StudentMethod, assign_gradient, refuse_nesterov
from emlc.metagrad import Params, clean_feedback, surrogate_loss
from emlc.metagrad.mlc import mlc_discount
from emlc.metagrad.tape import Tape
from emlc.models import processes, undrawn
from emlc.records.errors import SuiteError


@dataclass(frozen=True)
class Options:
    """MLC's hyper-parameters; the defaults are those of the released CIFAR command.

    Attributes
    ----------
    teacher_lr : float
        Of Adam (AMSGrad), constant.
    gradient_steps : int
        k, the steps whose meta-gradients are accumulated per teacher update.
    embedding, hidden : int
        Sizes of the label embedding and of both hidden layers of the correction network.
    skip : bool
        Whether the correction network gates between its output and the given label (Clothing1M only).
    """

    teacher_lr: float = 3e-4
    gradient_steps: int = 1
    embedding: int = 128
    hidden: int = 128
    skip: bool = False

    def __post_init__(self) -> None:
        """Refuse to wait for no step."""
        if self.gradient_steps < 1:
            raise SuiteError(f"gradient_steps is {self.gradient_steps}; it counts student steps and must be at least 1")


class MetaNet(nn.Module):
    """The label correction network: an MLP on the student's features and an embedding of the given label.

    Parameters
    ----------
    feature_dim, num_classes : int
    options : Options
    generator : torch.Generator
        Draws the initial weights: Xavier-uniform embedding, Xavier-normal layers, zero biases.
    """

    def __init__(self, feature_dim: int, num_classes: int, options: Options, generator: torch.Generator) -> None:
        super().__init__()
        self.skip = options.skip
        with undrawn(self):
            self.embedding = nn.Embedding(num_classes, options.embedding)
            self.layers = nn.Sequential(
                nn.Linear(feature_dim + options.embedding, options.hidden),
                nn.Tanh(),
                nn.Linear(options.hidden, options.hidden),
                nn.Tanh(),
                nn.Linear(options.hidden, num_classes + options.skip),
            )
        nn.init.xavier_uniform_(self.embedding.weight, generator=generator)
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.xavier_normal_(layer.weight, generator=generator)
                nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return soft labels [n, C] for the student's features [n, d] and the given labels [n]."""
        scores = self.layers(torch.cat([features, self.embedding(labels)], dim=1))
        if not self.skip:
            return scores.softmax(dim=1)
        given = F.one_hot(labels, scores.shape[1] - 1).to(scores.dtype)
        retain = scores[:, -1:].sigmoid()
        return retain * given + (1 - retain) * scores[:, :-1].softmax(dim=1)


class MLC(StudentMethod):
    """Student on soft labels and half of each clean batch; correction network by the meta-gradient.

    Arithmetic with clean batches as large as the noisy ones, k = 1: the student's step on one and a half batches, the
    clean gradient on half a one and a Jacobian-vector product along the stored pass; 8/3 = 2.67 Cross-Entropy steps.
    For k > 1 each step but the first of k takes a second clean gradient: half a Cross-Entropy step more. Measured on
    a CPU with ResNet-18 of width 16, k = 1: 2.9.
    """

    Options = Options
    shared = True

    def __init__(self, setting: Setting, options: Options) -> None:
        super().__init__(setting, options)
        refuse_nesterov(setting.training, "MLC")
        teacher = MetaNet(self.student.feature_dim, setting.num_classes, options, setting.initial)
        self.teacher = teacher.to(setting.device)
        self.teacher_optimiser = torch.optim.Adam(
            self.teacher.parameters(), lr=options.teacher_lr, amsgrad=True, fused=True
        )
        self.accumulated = [torch.zeros_like(parameter) for parameter in self.teacher.parameters()]
        self.steps_taken = 0

    def learn(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Take one student step on soft labels, then add its meta-gradient; every k-th time update the teacher."""
        evaluation, training = self.divided(clean)
        before = {name: value.detach() for name, value in self.student.named_parameters()}
        tape, logits, soft_targets, loss = self._student_step(noisy, training)
        after = dict(self.student.named_parameters())
        objective, feedback = clean_feedback(self.student, after, evaluation.inputs, evaluation.labels)
        lr = self.optimiser.param_groups[0]["lr"]
        weight = lr / (len(noisy.labels) + len(training.labels))
        meta = surrogate_loss((tape.jvp(logits, before, feedback) * weight,), (soft_targets,))
        gradient = processes.averaged(torch.autograd.grad(meta, tuple(self.teacher.parameters())))
        self._accumulate(gradient, self._survived(before, feedback, evaluation, lr))
        return {"student_loss": loss, "meta_objective": objective}

    def corrected_labels(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Return the soft labels [n, C] that the student would be trained on."""
        return self.teacher(self.student.features(inputs), labels)

    def divided(self, clean: Batch) -> tuple[Batch, Batch]:
        """Return the part of a clean batch that evaluates the look-ahead and the part that trains the student."""
        middle = processes.share(processes.whole(len(clean)) // 2)
        return clean[:middle], clean[middle:]

    def _student_step(self, noisy: Batch, clean: Batch) -> tuple[Tape, Tensor, Tensor, Tensor]:
        """Take the student's real step; return its tape, logits, the attached soft targets and the loss."""
        tape = Tape(self.student)
        with tape:
            features = self.student.features(noisy.inputs)
            logits = self.student.classifier(features)
        soft_targets = self.teacher(features.detach(), noisy.labels)
        sizes = len(noisy.labels), len(clean.labels)
        noisy_loss = F.cross_entropy(logits, soft_targets.detach())
        clean_loss = F.cross_entropy(self.student(clean.inputs), clean.labels)
        loss = (sizes[0] * noisy_loss + sizes[1] * clean_loss) / sum(sizes)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return tape, logits, soft_targets, loss.detach()

    def _survived(self, before: Params, feedback: Params, evaluation: Batch, lr: float) -> Tensor | float:
        """Return gamma, the share of the accumulated meta-gradient that survives this step."""
        if self.steps_taken % self.options.gradient_steps == 0:
            return 0.0
        earlier = clean_feedback(self.student, before, evaluation.inputs, evaluation.labels)[1]
        return mlc_discount(lr, feedback, earlier)

    def _accumulate(self, gradient: Sequence[Tensor], survived: Tensor | float) -> None:
        """Set D to gradient + gamma D and give it to Adam every k-th step."""
        self.accumulated = [new + survived * old for new, old in zip(gradient, self.accumulated, strict=True)]
        self.steps_taken += 1
        if self.steps_taken % self.options.gradient_steps == 0:
            for parameter, total in zip(self.teacher.parameters(), self.accumulated, strict=True):
                assign_gradient(parameter, total)
            self.teacher_optimiser.step()


METHOD = MLC
