"""P-correction: PENCIL (Yi and Wu, CVPR 2019; yikun2019/PENCIL).

Every sample has a free vector whose softmax is its label; back-propagation trains it together with the student.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from baselines.soft_labels import (
    decayed,
    entropy,
    label_divergence,
    one_hot,
    require_positive,
    require_share,
)
from emlc.engine.contract import Batch, Setting, StudentMethod, set_learning_rate
from emlc.records.errors import SuiteError

SCHEDULES = ("halves", "linear")


@dataclass(frozen=True)
class Options:
    """PENCIL's hyper-parameters; the defaults are the paper's for CIFAR-10 with symmetric noise.

    Attributes
    ----------
    warm_up, correction : float
        Shares of the epochs of the first stage (Cross-Entropy) and the second (student and labels learn together),
        70 and 130 of 320; on Clothing1M 5 and 10 of 25. The third fine-tunes on the labels as they are then.
    label_lr : float
        lambda. A step moves a label by ``lambda / (n C)`` times the difference of label and prediction: other batch
        sizes n, numbers of classes C and lengths need another lambda. Published for n = 128, C = 10: 1e4 times the
        learning rate (200 to 1200) for symmetric noise, 600 for asymmetric; for n = 32, C = 14 on Clothing1M: 3000.
    last_label_lr : float or None
        lambda later in the second stage, see `label_schedule`; None for the same. 500 on Clothing1M.
    label_schedule : str
        ``halves``: `last_label_lr` in the second half of the stage; ``linear``: on a line towards it, which it would
        reach one epoch after the stage (published for 50 % asymmetric noise, from 4000 to 0).
    compatibility, entropy_weight : float
        alpha and beta; 0.08 and 0.8 on Clothing1M.
    certainty : float
        K, the initial logit of the given class.
    double_softmax : bool
        Whether the compatibility loss takes the softmax of the label once more, as in the released code.
    lr, correction_lr, fine_tune_lr : float or None
        Learning rate of the student in the three stages, the last before its decay; None for the profile's, the
        second's for the first's.
    fine_tune_decay : float
        Factor of the learning rate from one part of the third stage to the next; 0 in the released code, whose
        division drops the fraction.
    fine_tune_parts : int
        Equal parts of the third stage.
    """

    warm_up: float = 70 / 320
    correction: float = 130 / 320
    label_lr: float = 600.0
    last_label_lr: float | None = None
    label_schedule: str = "halves"
    compatibility: float = 0.1
    entropy_weight: float = 0.8
    certainty: float = 10.0
    double_softmax: bool = False
    lr: float | None = None
    correction_lr: float | None = None
    fine_tune_lr: float | None = None
    fine_tune_decay: float = 0.1
    fine_tune_parts: int = 3

    def __post_init__(self) -> None:
        """Refuse values that no run can follow."""
        for name in ("warm_up", "correction"):
            require_share(name, getattr(self, name))
        if self.warm_up + self.correction > 1:
            raise SuiteError(
                f"warm_up and correction are {self.warm_up} and {self.correction}, more than the whole run"
            )
        for name in ("label_lr", "certainty", "lr", "correction_lr", "fine_tune_lr", "fine_tune_parts"):
            require_positive(name, getattr(self, name))
        if self.label_schedule not in SCHEDULES:
            raise SuiteError(f"label_schedule is {self.label_schedule!r}; known: {', '.join(SCHEDULES)}")


class Pencil(StudentMethod):
    """Cross-Entropy first, then labels that learn, then fine-tuning on what they have become.

    With y the softmax of a sample's vector, y~ its given label and p the prediction, the second stage minimises
    ``KL(p || y) / C + alpha H(y~, y) + beta H(p) / C`` by SGD on the student and by plain gradient steps of lambda on
    the batch's vectors, both from one backward pass; the third keeps the first term alone. A step costs what a
    Cross-Entropy step does.

    Attributes
    ----------
    label_logits : Tensor [N, C]
        Of all labels in force.
    """

    Options = Options
    learns_from_clean = False

    def __init__(self, setting: Setting, options: Options) -> None:
        super().__init__(setting, options)
        self.label_logits = options.certainty * one_hot(setting.noisy.labels, setting.num_classes)
        epochs = setting.training.epochs
        self.warm_up_end = round(options.warm_up * epochs)
        self.correction_end = round((options.warm_up + options.correction) * epochs)

    def begin_epoch(self, epoch: int) -> None:
        """Set modes and the stage's learning rate."""
        super().begin_epoch(epoch)
        set_learning_rate(self.optimiser, self._learning_rate())

    def learn(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Take one SGD step on the noisy batch, in the second stage with its labels; clean images are not used."""
        logits = self.student(noisy.inputs)
        if self.epoch < self.warm_up_end:
            loss = self._descend(F.cross_entropy(logits, noisy.labels))
        elif self.epoch < self.correction_end:
            loss = self._correct(logits, noisy)
        else:
            loss = self._descend(label_divergence(logits, self.label_logits[noisy.indices]))
        return {"student_loss": loss}

    def _correct(self, logits: Tensor, noisy: Batch) -> Tensor:
        """Move student and labels by the gradients of one loss."""
        label_logits = self.label_logits[noisy.indices].requires_grad_()
        loss = self._descend(pencil_loss(logits, label_logits, noisy.labels, self.options))
        self.label_logits[noisy.indices] = (label_logits - self.label_lr() * label_logits.grad).detach()
        return loss

    def _descend(self, loss: Tensor) -> Tensor:
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def label_lr(self) -> float:
        """Return lambda in this epoch of the second stage."""
        first, last = self.options.label_lr, self.options.last_label_lr
        passed = (self.epoch - self.warm_up_end) / (self.correction_end - self.warm_up_end)
        if last is None or (self.options.label_schedule == "halves" and passed < 0.5):
            return first
        return last if self.options.label_schedule == "halves" else first + (last - first) * passed

    def _learning_rate(self) -> float:
        options, training = self.options, self.setting.training
        if self.epoch < self.warm_up_end:
            return options.lr or training.lr
        if self.epoch < self.correction_end:
            return options.correction_lr or options.lr or training.lr
        position, length = self.epoch - self.correction_end, training.epochs - self.correction_end
        lr = options.fine_tune_lr or training.lr
        return decayed(lr, options.fine_tune_decay, position, length, options.fine_tune_parts)


def pencil_loss(logits: Tensor, label_logits: Tensor, given: Tensor, options: Options) -> Tensor:
    """Return the loss of the second stage: classification, compatibility and entropy (section 3 of the paper).

    Parameters
    ----------
    logits, label_logits : Tensor [n, C]
    given : Tensor [n] of int64
    options : Options
    """
    label = label_logits.softmax(dim=1) if options.double_softmax else label_logits
    compatibility = F.cross_entropy(label, given)
    confidence = entropy(logits) / logits.shape[1]
    classification = label_divergence(logits, label_logits)
    return classification + options.compatibility * compatibility + options.entropy_weight * confidence


METHOD = Pencil
