"""Enhanced Meta Label Correction: Algorithm 1 with the meta-gradient of Algorithm 2 and the teacher of Fig. 3."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from emlc.engine.contract import Batch, Setting, StudentMethod, refuse_nesterov, set_learning_rate
from emlc.metagrad import META_GRADIENTS, Params, Step, Window, clean_feedback, surrogate_loss
from emlc.metagrad.forward import FORWARDS
from emlc.metagrad.meta_scale import META_SCALES
from emlc.models import processes
from emlc.records.errors import SuiteError
from emlc.teacher import CORRUPTIONS, GATES, StudentFeatures, Teacher


@dataclass(frozen=True)
class Options:
    """EMLC's hyper-parameters; the defaults are the paper's, with the learning rate of the released code.

    Attributes
    ----------
    look_ahead : int
        k, the student steps per teacher update.
    meta_gradient : str
        A key of :data:`emlc.metagrad.META_GRADIENTS`.
    forward : str
        A key of :data:`emlc.metagrad.forward.FORWARDS`: ``recomputed`` needs less memory, ``taped`` less time.
    corruption : str
        How half of each clean batch is corrupted for the label-retaining loss: ``adversarial``, ``random``, or
        ``none`` to leave the labels alone (set `bce_weight` to 0 with it).
    teacher_lr : float
        Of the teacher's plain SGD (no momentum, no weight decay).
    ce_weight, bce_weight, meta_weight : float
        Of the three losses of equation 12. With `meta_scale` ``parity``, which sets the meta-gradient's length itself,
        `meta_weight` only says whether there is one.
    meta_scale : str
        A key of :data:`emlc.metagrad.meta_scale.META_SCALES`: the meta-gradient as it is (``paper``), or as long as the
        supervised one (``parity``).
    clean_statistics : bool
        Whether the student's running statistics see the clean batch too, as in the released code.
    gate : str
        A key of :data:`emlc.teacher.GATES`: what decides how far a given label is trusted.
    features : str
        Whose features the teacher sees: its ``own``, or the ``student``'s.
    """

    look_ahead: int = 1
    meta_gradient: str = "fpmg"
    forward: str = "taped"
    corruption: str = "adversarial"
    teacher_lr: float = 0.02
    ce_weight: float = 1.0
    bce_weight: float = 1.0
    meta_weight: float = 1.0
    meta_scale: str = "paper"
    clean_statistics: bool = False
    gate: str = "label"
    features: str = "own"

    def __post_init__(self) -> None:
        """Refuse names that nothing answers to."""
        _known("meta_gradient", self.meta_gradient, META_GRADIENTS)
        _known("forward", self.forward, FORWARDS)
        _known("corruption", self.corruption, CORRUPTIONS)
        _known("meta_scale", self.meta_scale, META_SCALES)
        _known("gate", self.gate, GATES)
        _known("features", self.features, FEATURES)
        if self.look_ahead < 1:
            raise SuiteError(f"look_ahead is {self.look_ahead}; it counts student steps and must be at least 1")


def _known(key: str, name: str, known: object) -> None:
    if name not in known:
        raise SuiteError(f"unknown {key} {name!r}; known: {', '.join(sorted(known))}")


def _images_per_step(setting: Setting, look_ahead: int) -> int:
    size = setting.training.batch_size
    if look_ahead > 1 and size * look_ahead > len(setting.noisy):
        wanted = f"{look_ahead} batches of {size} images"
        raise SuiteError(
            f"a step needs {wanted}, the noisy set has {len(setting.noisy)}; lower batch_size or look_ahead"
        )
    return size * look_ahead


def _own_features(setting: Setting, student: nn.Module) -> nn.Module:
    return setting.build("teacher")


def _student_features(setting: Setting, student: nn.Module) -> nn.Module:
    return StudentFeatures(student, setting.num_classes, setting.initial)


FEATURES = {"own": _own_features, "student": _student_features}
"""Whose features the teacher sees -> how its backbone is made."""


class EMLC(StudentMethod):
    """Enhanced Meta Label Correction (the paper, section 3)."""

    Options = Options
    shared = True

    def __init__(self, setting: Setting, options: Options) -> None:
        super().__init__(setting, options)
        refuse_nesterov(setting.training, "EMLC")
        if processes.count() > 1 and options.meta_gradient == "unrolled":
            raise SuiteError("meta_gradient unrolled is not known to be right on several processes; set processes to 1")
        self.noisy = setting.noisy.stream(_images_per_step(setting, options.look_ahead), "weak")
        self.clean = setting.clean.stream(setting.training.batch_size, "auto")
        backbone = FEATURES[options.features](setting, self.student)
        self.teacher = Teacher(backbone, setting.num_classes, setting.initial, options.gate).to(setting.device)
        self.teacher_optimiser = torch.optim.SGD(self.teacher.parameters(), lr=options.teacher_lr)
        self.meta_gradient = META_GRADIENTS[options.meta_gradient]
        self.student_forward = FORWARDS[options.forward]

    def begin_epoch(self, epoch: int) -> None:
        """Put both networks into training mode and decay both learning rates alike."""
        super().begin_epoch(epoch)
        training = self.setting.training
        set_learning_rate(self.teacher_optimiser, self.options.teacher_lr * training.learning_rate(epoch) / training.lr)

    def learn(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Make k student steps on corrected labels, then one teacher step on equation 12."""
        soft_targets, ce, bce = self.teach(noisy, clean)
        window, losses = self.student_steps(noisy, clean, soft_targets)
        meta = surrogate_loss(self.meta_gradient(window), soft_targets)
        options = self.options
        self.teacher_optimiser.zero_grad()
        supervised = options.ce_weight * ce + options.bce_weight * bce
        META_SCALES[options.meta_scale](supervised, options.meta_weight * meta, self.teacher.parts())
        self.teacher_optimiser.step()
        return losses | {"teacher_ce": ce.detach(), "teacher_bce": bce.detach()}

    def corrected_labels(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """Return the soft labels [n, C] that the student would be trained on."""
        return self.teacher(inputs, labels).soft_targets

    def teach(self, noisy: Batch, clean: Batch) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        """Return the soft targets of each look-ahead step, L_CE and L_BCE, from one forward pass of the teacher."""
        count = len(noisy.labels)
        features, prediction = self.teacher.encode(torch.cat([noisy.inputs, clean.inputs]))
        given = self._half_corrupted(clean.labels, prediction[count:])
        correction = self.teacher.correct(features, prediction, torch.cat([noisy.labels, given]))
        ce = F.cross_entropy(prediction[count:], clean.labels)
        bce = F.binary_cross_entropy_with_logits(correction.retain[count:], (given == clean.labels).to(ce.dtype))
        return correction.soft_targets[:count].chunk(self.options.look_ahead), ce, bce

    def _half_corrupted(self, labels: Tensor, prediction: Tensor) -> Tensor:
        """Return clean labels with every second one corrupted (section 3.6)."""
        corrupted = CORRUPTIONS[self.options.corruption](labels, prediction, self.setting.generator)
        every_second = processes.positions(len(labels), labels.device) % 2 == 0
        return torch.where(every_second, corrupted, labels)

    def student_steps(
        self, noisy: Batch, clean: Batch, soft_targets: tuple[Tensor, ...]
    ) -> tuple[Window, dict[str, Tensor]]:
        """Take the k real student steps and return what a meta-gradient needs to look back on them."""
        velocity = {name: self.optimiser.velocity(value) for name, value in self.student.named_parameters()}
        chunks = noisy.inputs.chunk(self.options.look_ahead)
        steps, losses = zip(*map(self._student_step, chunks, soft_targets), strict=True)
        final = dict(self.student.named_parameters())
        objective, feedback = self._feedback(final, clean)
        group = self.optimiser.param_groups[0]
        window = Window(
            student=self.student,
            steps=steps,
            final=final,
            feedback=feedback,
            clean_inputs=clean.inputs,
            clean_labels=clean.labels,
            lr=group["lr"],
            momentum=group["momentum"],
            weight_decay=group["weight_decay"],
            velocity=velocity,
        )
        return window, {"student_loss": torch.stack(losses).mean(), "meta_objective": objective}

    def _student_step(self, inputs: Tensor, soft_targets: Tensor) -> tuple[Step, Tensor]:
        """Take one real optimiser step, ready to answer the meta-gradient's questions about its forward pass."""
        params = {name: value.detach() for name, value in self.student.named_parameters()}
        logits, jacobian = self.student_forward(self.student, params, inputs)
        loss = F.cross_entropy(logits, soft_targets.detach())
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return Step(params, inputs, soft_targets, jacobian), loss.detach()

    def _feedback(self, params: Params, clean: Batch) -> tuple[Tensor, Params]:
        """Return the clean loss after the look-ahead and its gradient g_w."""
        if self.options.clean_statistics:
            loss = F.cross_entropy(self.student(clean.inputs), clean.labels)
            gradients = torch.autograd.grad(loss, tuple(params.values()))
            return loss.detach(), dict(zip(params, processes.averaged(gradients), strict=True))
        return clean_feedback(self.student, params, clean.inputs, clean.labels)


METHOD = EMLC
