"""MSLG, Meta Soft Label Generation (Algan and Ulusoy, ICPR 2020; gorkemalgan/MSLG_noisy_label).

PENCIL's free label vectors, moved by a meta-gradient: so that a step of the student on them lowers the clean loss.
The released code also lets the clean batches move the running statistics of batch norm; here they do not.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from baselines.soft_labels import entropy, label_divergence, one_hot, require_positive, require_share
from baselines.weight_net import virtual_step
from emlc.engine.contract import Batch, Setting, StudentMethod
from emlc.metagrad.tape import Tape


@dataclass(frozen=True)
class Options:
    """MSLG's hyper-parameters; the defaults are those of the released code for CIFAR-10.

    Attributes
    ----------
    warm_up : float
        Share of the epochs that train with Cross-Entropy: 44 of 120 on CIFAR-10, 1 of 10 on Clothing1M.
    virtual_lr : float
        alpha, of the virtual step.
    label_lr : float
        beta, of the label vectors; 1500 on Clothing1M. Their gradient carries ``alpha / (n C)``: other batch sizes n
        and numbers of classes C than 128 and 10 need another beta for steps as long.
    entropy_weight : float
        gamma, of the entropy in the student's real step.
    certainty : float
        K, the initial logit of the given class.
    """

    warm_up: float = 44 / 120
    virtual_lr: float = 0.5
    label_lr: float = 4000.0
    entropy_weight: float = 1.0
    certainty: float = 10.0

    def __post_init__(self) -> None:
        """Refuse values that no run can follow."""
        require_share("warm_up", self.warm_up)
        for name in ("virtual_lr", "label_lr", "certainty"):
            require_positive(name, getattr(self, name))


class MSLG(StudentMethod):
    """Cross-Entropy first; then labels that the clean set trains, and the student on them.

    With y the softmax of a sample's vector and p the prediction, a step looks ahead at
    ``w^ = w - alpha grad_w KL(p || y) / C``, moves the batch's vectors by beta against the gradient of the clean
    Cross-Entropy at w^, and takes the real step on ``KL(p || y) / C + gamma H(p) / C`` with the moved vectors. Both
    steps share one forward pass: 10/3 of the arithmetic of a Cross-Entropy step.

    Attributes
    ----------
    label_logits : Tensor [N, C]
        Of all labels in force.
    """

    Options = Options

    def __init__(self, setting: Setting, options: Options) -> None:
        super().__init__(setting, options)
        self.label_logits = options.certainty * one_hot(setting.noisy.labels, setting.num_classes)
        self.warm_up_epochs = round(options.warm_up * setting.training.epochs)

    def learn(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Train on the given labels during the warm-up, on labels of the clean set's making afterwards."""
        if self.epoch < self.warm_up_epochs:
            return {"student_loss": self._descend(F.cross_entropy(self.student(noisy.inputs), noisy.labels))}
        tape = Tape(self.student)
        with tape:
            logits = self.student(noisy.inputs)
        label_logits = self.label_logits[noisy.indices]
        label_logits = label_logits - self.options.label_lr * self.label_gradient(tape, logits, label_logits, clean)
        self.label_logits[noisy.indices] = label_logits
        confidence = entropy(logits) / logits.shape[1]
        loss = label_divergence(logits, label_logits) + self.options.entropy_weight * confidence
        return {"student_loss": self._descend(loss)}

    def label_gradient(self, tape: Tape, logits: Tensor, label_logits: Tensor, clean: Batch) -> Tensor:
        """Return the derivative of the clean loss after the virtual step by the label vectors of a batch, [n, C].

        Only ``-sum_c p_c log y_c / (n C)`` of the inner loss depends on a label, so the derivative by log y is
        ``alpha / (n C) <g', grad_w p>`` with g' the clean gradient at w^: p times what :func:`virtual_step` gives,
        over C. The softmax then takes off its sum times y.

        Parameters
        ----------
        tape : Tape
            Holds the student's forward pass on the noisy batch.
        logits, label_logits : Tensor [n, C]
            What that pass returned, and the labels of the batch.
        clean : Batch
        """
        loss = label_divergence(logits, label_logits)
        _, gradient = virtual_step(self.student, tape, logits, loss, self.options.virtual_lr, clean)
        by_log_label = gradient * logits.detach().softmax(dim=1) / logits.shape[1]
        return by_log_label - label_logits.softmax(dim=1) * by_log_label.sum(dim=1, keepdim=True)

    def _descend(self, loss: Tensor) -> Tensor:
        """Take the student's real step and return its loss."""
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.detach()


METHOD = MSLG
