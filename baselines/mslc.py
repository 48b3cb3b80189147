"""Meta Soft Label Corrector (Wu et al., AAAI 2021).

Released as WuYichen-97/Learning-to-Purify-Noisy-Labels-via-Meta-Soft-Label-Corrector.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.weight_net import WeightNet, virtual_step
from emlc.engine.contract import Batch, Setting, StudentMethod
from emlc.metagrad import surrogate_loss
from emlc.metagrad.tape import Tape
from emlc.records.errors import SuiteError


@dataclass(frozen=True)
class Options:
    """MSLC's hyper-parameters; the defaults are the paper's, as far as it differs from the released code.

    Attributes
    ----------
    warm_up : float
        Share of the epochs, 0 to 1, that train with plain Cross-Entropy (rounded to whole epochs). The default gives
        the 79 of 120 of the released code, whose correction begins in its 80th epoch.
    memory_epochs : int
        The last epochs of the warm-up, whose predictions are averaged into the first soft labels.
    hard_labels : bool
        Whether student and mixing networks see the most probable class of soft label and prediction, as in the
        released code, or the distributions themselves, as in the paper's equations.
    virtual_lr : float or None
        Of the virtual step; None for the student's current one. The released code uses 0.1 while the student is
        at 0.01.
    mixing_lr, weight_decay : float
        Of the mixing networks' Adam, constant.
    hidden : int
        Size of the mixing networks' hidden layers.
    """

    warm_up: float = 79 / 120
    memory_epochs: int = 10
    hard_labels: bool = False
    virtual_lr: float | None = None
    mixing_lr: float = 1e-3
    weight_decay: float = 1e-4
    hidden: int = 100

    def __post_init__(self) -> None:
        """Refuse values that no run can follow."""
        if not 0 <= self.warm_up <= 1:
            raise SuiteError(f"warm_up is {self.warm_up}; it is a share of the epochs and must be from 0 to 1")
        if self.memory_epochs < 1:
            raise SuiteError(f"memory_epochs is {self.memory_epochs}; it counts epochs and must be at least 1")
        if self.virtual_lr is not None and self.virtual_lr <= 0:
            raise SuiteError(f"virtual_lr is {self.virtual_lr}; it must be above 0, or null for the student's own")


class Candidates(NamedTuple):
    """The three labels of each sample that MSLC mixes, [n, C] each."""

    given: Tensor
    previous: Tensor
    prediction: Tensor

    def mixed(self, alpha: Tensor, beta: Tensor) -> Tensor:
        """Return ``alpha given + (1 - alpha) (beta previous + (1 - beta) prediction)`` for alpha, beta [n]."""
        alpha, beta = alpha[:, None], beta[:, None]
        return alpha * self.given + (1 - alpha) * (beta * self.previous + (1 - beta) * self.prediction)

    def hardened(self) -> "Candidates":
        """Return the one-hot vectors of the most probable classes."""
        return Candidates(*(_one_hot(label.argmax(dim=1), label) for label in self))


class LabelMemory(nn.Module):
    """The soft label of every sample of the noisy set, replaced by its successor at the end of each epoch.

    A sample that an epoch leaves out (an incomplete last batch) keeps the label it has; one that the whole memory
    left out starts from its given label.

    Parameters
    ----------
    given : Tensor [N, C]
        One-hot given labels.
    """

    labels: Tensor
    upcoming: Tensor
    averaged: Tensor

    def __init__(self, given: Tensor) -> None:
        super().__init__()
        self.register_buffer("labels", given)
        self.register_buffer("upcoming", given.clone())
        self.register_buffer("averaged", given.new_zeros(len(given), 1))

    def average(self, indices: Tensor, predictions: Tensor) -> None:
        """Make the coming labels of a batch the mean of all its predictions so far."""
        self.averaged[indices] += 1
        label = self.labels[indices]
        self.write(indices, label + (predictions - label) / self.averaged[indices])

    def write(self, indices: Tensor, labels: Tensor) -> None:
        """Set the coming labels [n, C] of a batch."""
        self.upcoming[indices] = labels

    def end_epoch(self) -> None:
        """Put the coming labels into force."""
        self.labels.copy_(self.upcoming)


class MSLC(StudentMethod):
    """Plain Cross-Entropy first; then labels mixed by two small networks that the clean set trains.

    With CE(q, p) = ``-sum_c q_c log p_c``, y~ the given label, y(t-1) the soft label in force and p the current
    prediction, the soft label becomes
    ``y(t) = A y~ + (1 - A) (B y(t-1) + (1 - B) p)``, ``A = alpha(CE(y~, p))``, ``B = beta(CE(y(t-1), p))``.
    A step looks ahead at ``w^ = w - lr grad_w mean CE(y(t), p_w)``, updates both networks by the clean loss at w^, and
    takes the real step on the y(t) of the updated networks. Both steps share one forward pass: 10/3 of the arithmetic
    of a Cross-Entropy step.
    """

    Options = Options

    def __init__(self, setting: Setting, options: Options) -> None:
        super().__init__(setting, options)
        self.alpha = WeightNet(options.hidden, setting.initial).to(setting.device)
        self.beta = WeightNet(options.hidden, setting.initial).to(setting.device)
        self.mixing_optimiser = torch.optim.Adam(
            (*self.alpha.parameters(), *self.beta.parameters()),
            lr=options.mixing_lr,
            weight_decay=options.weight_decay,
            fused=True,
        )
        given = F.one_hot(setting.noisy.labels, setting.num_classes)
        self.memory = LabelMemory(given.to(torch.get_default_dtype()))
        self.warm_up_epochs = round(options.warm_up * setting.training.epochs)

    def end_epoch(self, epoch: int) -> None:
        """Put the labels that the epoch collected into force."""
        self.memory.end_epoch()

    def learn(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Train on the given labels during the warm-up, on corrected ones afterwards."""
        return self._warm_up(noisy) if self.epoch < self.warm_up_epochs else self._correct(noisy, clean)

    def _warm_up(self, noisy: Batch) -> dict[str, Tensor]:
        """Take one Cross-Entropy step, remembering its predictions when the switch is near."""
        logits = self.student(noisy.inputs)
        if self.epoch >= self.warm_up_epochs - self.options.memory_epochs:
            self.memory.average(noisy.indices, logits.detach().softmax(dim=1))
        loss = self._descend(F.cross_entropy(logits, noisy.labels))
        return {"student_loss": loss}

    def _correct(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Update the mixing networks by a virtual step, then take the real step on the labels they give."""
        tape = Tape(self.student)
        with tape:
            logits = self.student(noisy.inputs)
        soft = self._candidates(logits.detach(), noisy)
        targets = soft.hardened() if self.options.hard_labels else soft
        self._update_mixing(tape, logits, targets, clean)
        with torch.no_grad():
            alpha, beta = self._coefficients(logits, targets)
        self.memory.write(noisy.indices, soft.mixed(alpha, beta))
        loss = self._descend(F.cross_entropy(logits, targets.mixed(alpha, beta)))
        return {"student_loss": loss, "mean_alpha": alpha.mean()}

    def _candidates(self, logits: Tensor, noisy: Batch) -> Candidates:
        prediction = logits.softmax(dim=1)
        return Candidates(_one_hot(noisy.labels, prediction), self.memory.labels[noisy.indices], prediction)

    def _coefficients(self, logits: Tensor, targets: Candidates) -> tuple[Tensor, Tensor]:
        """Return alpha [n] and beta [n], functions of the losses on the given and on the previous label."""
        logits = logits.detach()
        given, previous = (F.cross_entropy(logits, label, reduction="none") for label in targets[:2])
        return self.alpha(given), self.beta(previous)

    def _update_mixing(self, tape: Tape, logits: Tensor, targets: Candidates, clean: Batch) -> None:
        """Take one Adam step on the clean loss after the virtual step."""
        labels = targets.mixed(*self._coefficients(logits, targets))
        lr = self.options.virtual_lr
        if lr is None:
            lr = self.optimiser.param_groups[0]["lr"]
        loss = F.cross_entropy(logits, labels.detach())
        _, gradient = virtual_step(self.student, tape, logits, loss, lr, clean)
        self.mixing_optimiser.zero_grad()
        surrogate_loss((gradient,), (labels,)).backward()
        self.mixing_optimiser.step()

    def _descend(self, loss: Tensor) -> Tensor:
        """Take the student's real step and return its loss."""
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.detach()


def _one_hot(labels: Tensor, like: Tensor) -> Tensor:
    return F.one_hot(labels, like.shape[1]).to(like.dtype)


METHOD = MSLC
