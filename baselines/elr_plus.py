"""ELR+: early-learning regularisation, two networks and mixup (Liu et al., NeurIPS 2020; shengliu66/ELR).

Networks fit correct labels first. What they say then is kept as a target, from which a regulariser does not let them
go once wrong labels pull. Two networks get their targets from each other's moving averages.

As in the released code, the averages start from random weights of their own and predict in training mode, with batch
statistics.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.mixup import mixup_coefficient
from baselines.soft_labels import one_hot, require_share
from emlc.engine.averages import move_average
from emlc.engine.contract import Batch, Method, Setting, set_learning_rate, student_sgd
from emlc.records.errors import SuiteError

CLIP = 1e-4
"""Predictions are kept this far from 0 and 1 in the regulariser, whose logarithm has no lower bound."""
ROLES = ("first", "second")


@dataclass(frozen=True)
class Options:
    """ELR+'s hyper-parameters; the defaults are those of the released code for CIFAR-10 with symmetric noise.

    Attributes
    ----------
    target_momentum : float
        beta, of the targets from one visit of a sample to the next; 0.9 for asymmetric noise and CIFAR-100.
    regularisation : float
        lambda; 1 for asymmetric noise, 7 on CIFAR-100.
    ramp : float
        Share of the run's steps over which lambda rises to its value, ``exp(-5 (1 - t / ramp)^2)``; 0 for none.
        Published for CIFAR-100: 40,000 of 88,000.
    mixup_alpha : float
        Of the Beta distribution of mixup's coefficient.
    average_decay : float
        gamma, of the networks' moving averages; 0.9999 on Clothing1M. It counts steps: a run that is a hundred times
        shorter than the published 70,400 needs a smaller one.
    average_ramp : float
        Share of the run's steps over which gamma rises like lambda; 0 for 1/2, 2/3, 3/4, ... up to gamma, as on
        Clothing1M. Published for CIFAR-10: 40,000 of 70,400.
    masked_classes : int
        With this number of classes the mixed labels are multiplied by the targets and scaled to sum 1. The released
        code does that on CIFAR-100 (100) without a word in its description; 0 for never.
    """

    target_momentum: float = 0.7
    regularisation: float = 3.0
    ramp: float = 0.0
    mixup_alpha: float = 1.0
    average_decay: float = 0.997
    average_ramp: float = 40_000 / 70_400
    masked_classes: int = 0

    def __post_init__(self) -> None:
        """Refuse values that no run can follow."""
        for name in ("target_momentum", "ramp", "average_decay", "average_ramp"):
            require_share(name, getattr(self, name))
        if self.mixup_alpha < 0.5:
            raise SuiteError(f"mixup_alpha is {self.mixup_alpha}; it must be at least 0.5")


class ELRPlus(Method):
    """Two networks on mixed images, each regularised towards the other's average; their mean is reported.

    For images x and labels y mixed by a permutation with lam, and targets h that follow the peer's average on the
    images before they are mixed, ``q = lam h + (1 - lam) h[permutation]``, the loss is
    ``H(y, p) + lambda mean log(1 - <q, p>)``. The first network makes its pass through the noisy set, then the second,
    each with streams and targets of its own. An epoch costs 8/3 of Cross-Entropy's arithmetic.

    Attributes
    ----------
    averages : list of nn.Module
        The networks' moving averages.
    targets : list of Tensor [N, C]
        h of either network; zeros until a sample has been seen.
    taken : int
        Steps of the epoch.
    """

    Options = Options
    learns_from_clean = False

    def __init__(self, setting: Setting, options: Options) -> None:
        super().__init__(setting, options)
        self.networks = [setting.build(role) for role in ROLES]
        self.averages = [setting.build(f"{role} average").requires_grad_(False) for role in ROLES]
        self.optimisers = [student_sgd(network, setting.training) for network in self.networks]
        self.streams = [setting.noisy.stream(setting.training.batch_size, "weak", name=role) for role in ROLES]
        self.targets = [torch.zeros_like(one_hot(setting.noisy.labels, setting.num_classes)) for _ in ROLES]
        self.taken = 0

    def begin_epoch(self, epoch: int) -> None:
        """Set modes and learning rates."""
        super().begin_epoch(epoch)
        for optimiser in self.optimisers:
            set_learning_rate(optimiser, self.setting.training.learning_rate(epoch))
        self.taken = 0

    def steps(self) -> int:
        """Return the full batches of both passes."""
        return sum(stream.batches_per_pass for stream in self.streams)

    def step(self) -> dict[str, Tensor]:
        """Train the network whose turn it is."""
        batches = self.streams[0].batches_per_pass
        turn, batch_number = divmod(self.taken, batches)
        self.taken += 1
        return self.learn(turn, self.streams[turn].next(), self.epoch * batches + batch_number)

    def learn(self, turn: int, noisy: Batch, time: int) -> dict[str, Tensor]:
        """Take one SGD step of a network and move its average.

        Parameters
        ----------
        turn : int
            0 or 1.
        noisy : Batch
        time : int
            Batches that this network has seen in the run.
        """
        options, length = self.options, self.setting.training.epochs * self.streams[turn].batches_per_pass
        targets = self._follow(turn, noisy)
        weight = options.regularisation * ramp_up(time + 1, options.ramp * length)
        loss = self._loss(turn, noisy, targets, weight)
        self.optimisers[turn].zero_grad()
        loss.backward()
        self.optimisers[turn].step()
        decay = average_decay(options.average_decay, time, options.average_ramp * length)
        move_average(self.averages[turn], self.networks[turn], decay)
        return {"student_loss": loss.detach()}

    def logits(self, inputs: Tensor) -> Tensor:
        """Return the mean of the two networks' logits [n, C]."""
        first, second = (network(inputs) for network in self.networks)
        return (first + second) / 2

    @torch.no_grad()
    def _follow(self, turn: int, noisy: Batch) -> Tensor:
        """Move a batch's targets towards the predictions of the peer's average and return them [n, C]."""
        predictions = self.averages[1 - turn](noisy.inputs).softmax(dim=1)
        targets = self.targets[turn][noisy.indices].lerp(predictions, 1 - self.options.target_momentum)
        self.targets[turn][noisy.indices] = targets
        return targets

    def _loss(self, turn: int, noisy: Batch, targets: Tensor, weight: float) -> Tensor:
        generator = self.setting.generator
        share = mixup_coefficient(self.options.mixup_alpha, generator)
        partners = torch.randperm(len(noisy), generator=generator, device=noisy.labels.device)
        given = one_hot(noisy.labels, self.setting.num_classes)
        inputs, labels, targets = (mixed(values, partners, share) for values in (noisy.inputs, given, targets))
        if self.setting.num_classes == self.options.masked_classes:
            labels = masked(labels, targets)
        logits = self.networks[turn](inputs)
        return F.cross_entropy(logits, labels) + weight * early_learning(logits, targets)


def mixed(values: Tensor, partners: Tensor, share: Tensor) -> Tensor:
    """Return ``share * values + (1 - share) * values[partners]`` for values [n, ...], laid out in memory as they are.

    Grey images lose their layout in arithmetic; a convolution's weights take it over from its inputs, but not from a
    checkpoint, and then round otherwise.
    """
    return torch.empty_like(values).copy_(share * values + (1 - share) * values[partners])


def masked(labels: Tensor, targets: Tensor) -> Tensor:
    """Return labels [n, C] times targets, scaled to sum 1."""
    product = labels * targets
    return product / product.sum(dim=1, keepdim=True).clamp_min(torch.finfo(product.dtype).tiny)


def early_learning(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean of ``log(1 - <q, p>)`` for targets q and predictions p [n, C]."""
    predictions = logits.softmax(dim=1).clamp(CLIP, 1 - CLIP)
    return (1 - (targets * predictions).sum(dim=1)).log().mean()


def ramp_up(time: int, length: float) -> float:
    """Return ``exp(-5 (1 - u)^2)``, where u = time / length rises to 1; 1 if there is no ramp."""
    return math.exp(-5 * (1 - min(time / length, 1)) ** 2) if length else 1.0


def average_decay(final: float, time: int, length: float) -> float:
    """Return gamma after step `time` (from 0): on a ramp of that length, or 1/2, 2/3, ... up to `final` if it is 0.

    The released code counts steps from 1, and one more for its averages.
    """
    return final * ramp_up(time + 2, length) if length else min(1 - 1 / (time + 2), final)


METHOD = ELRPlus
