"""FasTEN: a transition matrix from a second head (Kye, Choi, Yi, Chang, ECCV 2022; hyperconnect/FasTEN)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from emlc.engine.contract import Batch, Setting, StudentMethod, student_sgd
from emlc.models import initialise, processes

EPSILON = 1e-7
"""Added to a probability before its logarithm is taken (hyperconnect/FasTEN)."""


@dataclass(frozen=True)
class Options:
    """FasTEN's hyper-parameters; the defaults are those of the released CIFAR code.

    Attributes
    ----------
    noisy_weight : float
        lambda, of the noisy head's loss.
    threshold : float
        rho, the clean head's confidence from which it relabels a sample.
    """

    noisy_weight: float = 0.5
    threshold: float = 0.8


class FasTEN(StudentMethod):
    """One backbone, two linear heads; the clean head is the student's classifier and the one reported.

    The noisy head learns the given labels; what it says of clean images is, in every step, an estimate of the
    transition matrix, through which the clean head is trained on noisy images. Noisy and clean images go through the
    backbone separately, so each has batch statistics of its own: the arithmetic of two Cross-Entropy steps.

    Attributes
    ----------
    noisy_head : nn.Linear
    labels : Tensor [N] of int64
        What each noisy sample is trained on at its next visit.
    """

    Options = Options
    shared = True

    def __init__(self, setting: Setting, options: Options) -> None:
        super().__init__(setting, options)
        head = nn.utils.skip_init(nn.Linear, self.student.feature_dim, setting.num_classes)
        initialise(head, setting.initial)
        self.noisy_head = head.to(setting.device)
        self.optimiser = student_sgd(nn.ModuleList([self.student, self.noisy_head]), setting.training)
        self.clean = setting.clean.balanced(setting.training.batch_size, "weak")
        self.labels = setting.noisy.labels.clone()

    def learn(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Take one SGD step on L = L_clean + lambda L_noisy and relabel the noisy batch for its next visit."""
        features = self.student.features(noisy.inputs)
        clean_features = self.student.features(clean.inputs)
        logits = self.student.classifier(features)
        matrix = estimated_matrix(self.noisy_head(clean_features), clean.labels)
        labels = self.labels[noisy.indices]
        seen = relabelled(logits, noisy.labels, self.options.threshold)
        self.labels[processes.gathered(noisy.indices)] = processes.gathered(seen)
        on_clean = F.cross_entropy(self.student.classifier(clean_features), clean.labels, reduction="none")
        clean_loss = torch.cat([forward_corrected(logits, matrix, labels), on_clean]).mean()
        noisy_loss = F.cross_entropy(self.noisy_head(features), labels)
        self.optimiser.zero_grad()
        (clean_loss + self.options.noisy_weight * noisy_loss).backward()
        self.optimiser.step()
        return {"student_loss": clean_loss.detach(), "noisy_head_loss": noisy_loss.detach()}


@torch.no_grad()
def estimated_matrix(noisy_head_logits: Tensor, labels: Tensor) -> Tensor:
    """Return the transition matrix: row i is the noisy head's mean prediction on clean images of class i.

    A constant for the gradient.

    Parameters
    ----------
    noisy_head_logits : Tensor [m, C]
        Of a clean batch that holds every class.
    labels : Tensor [m] of int64
        True ones.

    Returns
    -------
    Tensor [C, C]
        Rows sum to 1.
    """
    probabilities = noisy_head_logits.softmax(dim=1)
    members = F.one_hot(labels, probabilities.shape[1]).to(probabilities.dtype)
    sums = processes.total(torch.cat([members.T @ probabilities, members.sum(dim=0).unsqueeze(1)], dim=1))
    return sums[:, :-1] / sums[:, -1:]


def forward_corrected(logits: Tensor, matrix: Tensor, labels: Tensor) -> Tensor:
    """Return -log sum_i T(i, label) p(i) of each sample [n], for clean-head logits [n, C] and its label in use [n]."""
    noisy_probabilities = logits.softmax(dim=1) @ matrix
    return -torch.log(noisy_probabilities.gather(1, labels.unsqueeze(1)).squeeze(1) + EPSILON)


@torch.no_grad()
def relabelled(logits: Tensor, given: Tensor, threshold: float) -> Tensor:
    """Return the clean head's prediction where it is confident, else the given noisy label [n], never an older one."""
    confidence, prediction = logits.softmax(dim=1).max(dim=1)
    return torch.where(confidence >= threshold, prediction, given)


METHOD = FasTEN
