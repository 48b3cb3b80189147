"""What methods share that keep a label distribution for every sample: logits of labels, their losses, schedules."""

import torch
from torch import Tensor
from torch.nn import functional as F

from emlc.records.errors import SuiteError


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """Return labels [N] as distributions [N, C] of the default precision."""
    return F.one_hot(labels, num_classes).to(torch.get_default_dtype())


def label_divergence(logits: Tensor, label_logits: Tensor) -> Tensor:
    """Return KL(p || y), averaged over samples and classes, for p and y the softmax of logits [n, C].

    Averaging over classes too divides the published sum by C; PENCIL's and MSLG's step sizes count on it.
    """
    log_p, log_y = logits.log_softmax(dim=1), label_logits.log_softmax(dim=1)
    return (log_p.exp() * (log_p - log_y)).mean()


def entropy(logits: Tensor) -> Tensor:
    """Return the mean entropy of predictions, given as logits [n, C], in nats."""
    log_p = logits.log_softmax(dim=1)
    return -(log_p.exp() * log_p).sum(dim=1).mean()


def decayed(lr: float, factor: float, position: int, length: int, parts: int) -> float:
    """Return the learning rate of an epoch in a phase that is cut into equal parts, each `factor` times as fast.

    Parameters
    ----------
    lr : float
        Of the first part.
    factor : float
    position, length : int
        The epoch's number within the phase, from 0, and the epochs of the phase.
    parts : int
    """
    return lr * factor ** (position * parts // length)


def require_share(name: str, value: float) -> None:
    """Refuse an option that is no share.

    Raises
    ------
    SuiteError
        Unless it is from 0 to 1.
    """
    if not 0 <= value <= 1:
        raise SuiteError(f"{name} is {value}; it is a share and must be from 0 to 1")


def require_positive(name: str, value: float | None) -> None:
    """Refuse an option that must be above 0; None stands for a default.

    Raises
    ------
    SuiteError
        If it is not.
    """
    if value is not None and value <= 0:
        raise SuiteError(f"{name} is {value}; it must be above 0")
