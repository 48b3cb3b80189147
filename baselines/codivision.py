"""What DivideMix, its descendants and FaMUS compute of a batch: division, targets, mixing, and MixMatch's losses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from emlc.engine.contract import Batch
from emlc.records.errors import SuiteError

MOST = 45_000 / 50_000
"""Share of the samples that FaMUS's pseudo-clean set may have."""


@dataclass(frozen=True)
class Options:
    """The family's hyper-parameters; the defaults are DivideMix's for CIFAR-10 with 50 or 80 % symmetric noise.

    Attributes
    ----------
    warm_up : float
        Share of the epochs that train on all given labels: 10 of 300 as published (30 on CIFAR-100). Rounded to whole
        epochs, at least one: networks that know nothing cannot divide.
    ramp : float
        Share of the epochs over which the weight of the unlabelled loss grows to `unlabelled_weight`.
    unlabelled_weight : float
        lambda_u. Published: 0 for 20 % symmetric and for asymmetric noise and on Clothing1M, 50 for 90 %, 25 to 150
        on CIFAR-100.
    threshold : float
        Probability of a low loss above which a label is kept; 0.6 for 90 % noise.
    temperature : float
        Of the sharpening, above 0.
    alpha : float
        Of the Beta distribution of mixing coefficients, at least 0.5; 0.5 on Clothing1M.
    batch_share : float
        Labelled samples of a step, as many unlabelled, as a share of the training's batch size, which is the
        warm-up's: 64 of 128 as published.
    loss_epochs : int
        Epochs whose losses are averaged before the division; 5 for 90 % noise.
    mixture_steps : int
        Largest number of EM steps.
    entropy_bonus : bool
        Whether the warm-up rewards the entropy of predictions: asymmetric noise and Clothing1M.
    labelled_only : bool
        Whether unlabelled samples are no more than partners of labelled ones, as on Clothing1M.
    late_division : bool
        Whether the first network's losses are modelled after its own training in an epoch instead of before it.
    clip_norm : float or None
        Largest norm of a gradient of the warm-up.
    """

    warm_up: float = 10 / 300
    ramp: float = 16 / 300
    unlabelled_weight: float = 25.0
    threshold: float = 0.5
    temperature: float = 0.5
    alpha: float = 4.0
    batch_share: float = 0.5
    loss_epochs: int = 1
    mixture_steps: int = 10
    entropy_bonus: bool = False
    labelled_only: bool = False
    late_division: bool = False
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        """Refuse values that no run can follow."""
        for name in ("warm_up", "ramp", "threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise SuiteError(f"{name} is {getattr(self, name)}; it must be from 0 to 1")
        if self.alpha < 0.5:
            raise SuiteError(f"alpha is {self.alpha}; it must be at least 0.5")
        for name in ("temperature", "batch_share"):
            if getattr(self, name) <= 0:
                raise SuiteError(f"{name} is {getattr(self, name)}; it must be above 0")
        for name in ("loss_epochs", "mixture_steps"):
            if getattr(self, name) < 1:
                raise SuiteError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.unlabelled_weight < 0:
            raise SuiteError(f"unlabelled_weight is {self.unlabelled_weight}; it must not be below 0")
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise SuiteError(f"clip_norm is {self.clip_norm}; it must be above 0, or null for no limit")


class Part(NamedTuple):
    """Samples with the targets that they are mixed with: inputs [m, ...] and probabilities [m, C]."""

    inputs: Tensor
    targets: Tensor


class Twofold(NamedTuple):
    """Samples with two targets: inputs [m, ...], refined and guessed probabilities [m, C]."""

    inputs: Tensor
    refined: Tensor
    guessed: Tensor


Mixable = TypeVar("Mixable", bound=tuple[Tensor, ...])
"""A named tuple of inputs and what is mixed with them, such as :class:`Part`."""


def divide(credibility: Tensor, threshold: float, least: int = 2) -> tuple[Tensor, Tensor]:
    """Return the positions of samples to keep the label of, and of the others.

    Parameters
    ----------
    credibility : Tensor [N]
        Probability that the label is right.
    threshold : float
        Labels above it are kept.
    least : int
        Samples that each side gets whatever the threshold says; C2D's code clips the threshold for one, batch
        statistics need two.
    """
    order = credibility.argsort(stable=True)
    rejected = int((credibility <= threshold).sum())
    rejected = max(least, min(rejected, len(order) - least))
    return order[rejected:].sort().values, order[:rejected].sort().values


def credible(credibility: Tensor, threshold: float, least: int) -> Tensor:
    """Return the positions of labels that count as clean: above the threshold, or the better half if few or most are.

    Parameters
    ----------
    credibility : Tensor [N]
    threshold : float
    least : int
        So many have to be above it.
    """
    chosen = credibility > threshold
    if not least <= chosen.sum() <= MOST * len(chosen):
        chosen = credibility >= credibility.median()
    return chosen.nonzero().flatten()


def sample_losses(network: nn.Module, batch: Batch) -> Tensor:
    """Return each sample's Cross-Entropy with its given label [n]."""
    return F.cross_entropy(network(batch.inputs), batch.labels, reduction="none")


def predict(network: nn.Module, views: tuple[Tensor, ...]) -> Tensor:
    """Return the mean over views of a network's probabilities [n, C]."""
    return torch.stack([network(view).softmax(dim=1) for view in views]).mean(dim=0)


def sharpen(probabilities: Tensor, temperature: float) -> Tensor:
    """Return p^(1/T) / sum p^(1/T) for probabilities [n, C]."""
    powers = probabilities ** (1 / temperature)
    return powers / powers.sum(dim=1, keepdim=True)


def refine(labels: Tensor, credibility: Tensor, prediction: Tensor, temperature: float) -> Tensor:
    """Return the sharpened ``w y + (1 - w) p`` of labels [n], credibilities w [n] and predictions p [n, C]."""
    given = F.one_hot(labels, prediction.shape[1]).to(prediction.dtype)
    return sharpen(prediction.lerp(given, credibility[:, None].to(prediction.dtype)), temperature)


def mix(parts: Sequence[Mixable], coefficient: Tensor, generator: torch.Generator) -> Mixable:
    """Mix every sample with a random one: ``l x_i + (1 - l) x_j``, targets alike, in the order of the parts.

    Mixed images are laid out in memory as the ones that they are made of. Grey ones would lose that in arithmetic; a
    convolution's weights take their layout over from its inputs, but not from a checkpoint, and then round otherwise.
    """
    wholes = [torch.cat(values) for values in zip(*parts, strict=True)]
    partners = torch.randperm(len(wholes[0]), generator=generator, device=generator.device)
    mixed = (whole.lerp(whole[partners], 1 - coefficient.to(whole)) for whole in wholes)
    return type(parts[0])(*(torch.empty_like(whole).copy_(values) for whole, values in zip(wholes, mixed, strict=True)))


def mean_square(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean over samples and classes of (p - t)^2."""
    return F.mse_loss(logits.softmax(dim=1), targets)


def from_uniform(logits: Tensor) -> Tensor:
    """Return KL(uniform || mean prediction), which keeps all samples from being called one class."""
    mean = logits.softmax(dim=1).mean(dim=0)
    return -(mean * len(mean)).log().mean()


def negative_entropy(logits: Tensor) -> Tensor:
    """Return the mean over samples of ``sum_c p_c log p_c``."""
    return (logits.softmax(dim=1) * logits.log_softmax(dim=1)).sum(dim=1).mean()


def ramp_up(epoch: float, start: float, length: float) -> float:
    """Return how much of the unlabelled loss's weight is in force at `epoch`: 0 at `start`, 1 `length` epochs later."""
    return min(max((epoch - start) / length, 0.0), 1.0) if length else 1.0
