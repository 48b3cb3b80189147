"""MLNT, Learning to Learn from Noisy Labeled Data (Li, Wong, Zhao, Kankanhalli, CVPR 2019; LiJunnan1992/MLNT).

Each step adds to the Cross-Entropy on the given labels the gradient of a consistency loss: after one virtual step on
labels made still noisier, the student should agree with its own moving average.

Where sources are silent or differ, this file chooses:

- Order. One SGD step on Cross-Entropy plus weighted consistency, as in the public code; the paper's abstract has the
  meta-learning update precede the conventional one.
- Consistency is the KL divergence summed over classes and averaged over samples; the public code divides it by C too.
- Feature network. The paper trains one with Cross-Entropy beforehand. Here the student's own first `pretrain_epochs`
  are Cross-Entropy alone (the ramp leaves the consistency next to no weight then), and its copy at their end is
  frozen, so that every method of a table trains its student for equally many epochs.
- Mean teacher. It starts as a copy of the student when the consistency starts, averages parameters only, runs in
  training mode and keeps the running statistics of its own forward passes, as in the public code. It is the model
  reported (the student while it does not exist yet); the public code keeps the better of both on clean images.
- Mentor stages. They share the run's epochs, and each restarts student, learning rate and ramp. The mentor, the last
  stage's reported model at its end rather than at its best epoch, is the feature network too (the author's advice in
  LiJunnan1992/MLNT, issue 11). That it filters and blends is the paper's, not in the public code; the exact equations
  and the defaults of `mentor_threshold` and `mentor_weight` are unverified. A sample it rejects stays in the
  batch statistics, but in no loss and nobody's neighbour.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from emlc.engine.averages import follower, move_average
from emlc.engine.contract import Batch, Setting, StudentMethod, assign_gradient
from emlc.metagrad.virtual_steps import label_gradients, look_ahead_gradient, weighted_mean
from emlc.records.errors import SuiteError


@dataclass(frozen=True)
class Options:
    """MLNT's hyper-parameters; the defaults are the paper's for CIFAR-10 (as quoted by ckghosted/MLNT-CIFAR10).

    Attributes
    ----------
    num_fast : int
        M, the synthetic label sets per step.
    perturb_ratio : float
        rho / batch size, the share of labels replaced in each.
    neighbours : int
        A replaced label comes from a random one of so many nearest neighbours in the batch.
    inner_lr : float
        alpha, of the virtual step.
    meta_weight : float
        Final weight of the consistency loss.
    ramp_epochs : int
        Over which the weight rises to it; the slower average begins after them.
    early_decay, late_decay : float
        gamma of the mean teacher, up to and after the ramp.
    pretrain_epochs : int
        Of Cross-Entropy alone at the start of the run.
    mentor_stages : int
        How often training is repeated within the run's epochs, each time with the last result as mentor.
    mentor_threshold : float
        The mentor's probability of its label that a sample must exceed to be trained on.
    mentor_weight : float
        lambda, the mentor's share in the consistency target.
    second_order : bool
        Whether the meta-gradient goes through the virtual step's gradient.
    """

    num_fast: int = 10
    perturb_ratio: float = 0.5
    neighbours: int = 10
    inner_lr: float = 0.2
    meta_weight: float = 0.4
    ramp_epochs: int = 20
    early_decay: float = 0.99
    late_decay: float = 0.999
    pretrain_epochs: int = 2
    mentor_stages: int = 1
    mentor_threshold: float = 0.01
    mentor_weight: float = 0.5
    second_order: bool = False

    def __post_init__(self) -> None:
        """Refuse counts that leave nothing to do."""
        for name in ("num_fast", "neighbours", "ramp_epochs", "mentor_stages"):
            if getattr(self, name) < 1:
                raise SuiteError(f"MLNT's {name} is {getattr(self, name)}; it must be at least 1")


class Guidance(NamedTuple):
    """What the frozen network and the mean teacher say of a batch."""

    features: Tensor
    """Of the frozen network, [n, d]."""
    targets: Tensor
    """Probabilities that the student should keep to, [n, C]."""
    weights: Tensor
    """1 for samples to train on, 0 for those that the mentor rejects, [n]."""


class MLNT(StudentMethod):
    """Cross-Entropy plus consistency after virtual steps on synthetic label noise.

    Arithmetic of a first-order step: M + 1 backward passes from one forward pass, M forward and backward passes at the
    virtual weights, and a forward pass each of teacher and frozen network; (5 M + 5) / 3 = 18.3 Cross-Entropy steps
    for M = 10. Measured on a CPU: 11 with the small CNN, which takes the virtual steps at once, 18 with ResNet-18 of
    width 16.

    `teacher` is the moving average of the student. `frozen` finds neighbours; from the second stage on it is the
    mentor. `stage` and `epoch` within it count from 0.
    """

    Options = Options
    learns_from_clean = False

    def __init__(self, setting: Setting, options: Options) -> None:
        super().__init__(setting, options)
        self.teacher, self.frozen = follower(self.student), follower(self.student)
        self.stage = 0

    @property
    def is_guided(self) -> bool:
        """Whether the consistency loss has begun."""
        return self.stage > 0 or self.epoch >= self.options.pretrain_epochs

    def begin_epoch(self, epoch: int) -> None:
        """Start a stage or the consistency if it is time to; set modes and the learning rate."""
        stage, local = self._position(epoch)
        if stage > self.stage:
            self._restart()
        self.stage = stage
        if local == (0 if stage else self.options.pretrain_epochs):
            self._begin_guidance()
        super().begin_epoch(local * self.options.mentor_stages)
        self.epoch = local
        self.frozen.eval()

    def learn(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Take one SGD step on the noisy batch; clean images are not used."""
        metrics = self._guided_gradient(noisy) if self.is_guided else self._plain_gradient(noisy)
        self.optimiser.step()
        if self.is_guided:
            options = self.options
            decay = options.early_decay if self.epoch < options.ramp_epochs else options.late_decay
            move_average(self.teacher, self.student, decay)
        return metrics

    def logits(self, inputs: Tensor) -> Tensor:
        """Return the mean teacher's logits [n, C], the student's during the pre-training."""
        return self._reported()(inputs)

    def _reported(self) -> nn.Module:
        return self.teacher if self.is_guided else self.student

    def _position(self, epoch: int) -> tuple[int, int]:
        """Return the stage of an epoch and the epoch's number within it; the last stage takes the remainder."""
        length = max(1, self.setting.training.epochs // self.options.mentor_stages)
        stage = min(epoch // length, self.options.mentor_stages - 1)
        return stage, epoch - stage * length

    def _restart(self) -> None:
        """Freeze the reported model as mentor and put the student back to its initial state."""
        self.frozen.load_state_dict(self._reported().state_dict())
        self.student.load_state_dict(self.setting.build("student").state_dict())
        self.optimiser.state.clear()

    def _begin_guidance(self) -> None:
        """Start the mean teacher as a copy of the student; in the first stage freeze another for its features."""
        self.teacher.load_state_dict(self.student.state_dict())
        if self.stage == 0:
            self.frozen.load_state_dict(self.student.state_dict())

    def _plain_gradient(self, noisy: Batch) -> dict[str, Tensor]:
        """Leave the gradient of the Cross-Entropy in the student; return the loss."""
        loss = F.cross_entropy(self.student(noisy.inputs), noisy.labels)
        self.optimiser.zero_grad()
        loss.backward()
        return {"student_loss": loss.detach()}

    def _guided_gradient(self, noisy: Batch) -> dict[str, Tensor]:
        """Leave the gradient of Cross-Entropy plus weighted consistency in the student; return the losses."""
        options = self.options
        guidance = self._guide(noisy)
        synthetic = synthetic_labels(guidance, noisy.labels, options, self.setting.generator)
        labels = torch.cat([noisy.labels.unsqueeze(0), synthetic])
        losses, gradients = label_gradients(
            self.student, noisy.inputs, labels, guidance.weights, keep_graph=options.second_order
        )
        steps = {name: options.inner_lr * gradient[1:] for name, gradient in gradients.items()}
        loss = partial(consistency_loss, guidance=guidance)
        second = options.second_order
        consistency, meta = look_ahead_gradient(self.student, steps, noisy.inputs, loss, second_order=second)
        weight = options.meta_weight * ramp(self.epoch, options.ramp_epochs)
        for name, parameter in self.student.named_parameters():
            assign_gradient(parameter, gradients[name][0] + weight * meta[name])
        return {"student_loss": losses[0], "consistency": consistency}

    @torch.no_grad()
    def _guide(self, noisy: Batch) -> Guidance:
        features = self.frozen.features(noisy.inputs)
        targets = self.teacher(noisy.inputs).softmax(dim=1)
        if self.stage == 0:
            return Guidance(features, targets, torch.ones_like(targets[:, 0]))
        mentor = self.frozen.classifier(features).softmax(dim=1)
        kept = mentor.gather(1, noisy.labels.unsqueeze(1)).squeeze(1) > self.options.mentor_threshold
        return Guidance(features, torch.lerp(targets, mentor, self.options.mentor_weight), kept.to(targets.dtype))


def ramp(epoch: int, ramp_epochs: int) -> float:
    """Return exp(-5 (1 - u)^2), where u = epoch / ramp_epochs rises to 1."""
    return math.exp(-5 * (1 - min(1.0, epoch / ramp_epochs)) ** 2)


def nearest_neighbours(features: Tensor, eligible: Tensor, count: int) -> Tensor:
    """Return the positions [n, min(count, n - 1)] of each sample's nearest others, by Euclidean distance of features.

    Nearest first; samples that are not `eligible` [n] (bool) rank last.
    """
    itself = torch.eye(len(features), dtype=torch.bool, device=features.device)
    distances = torch.cdist(features, features).masked_fill(itself | ~eligible, torch.inf)
    return distances.topk(min(count, len(features) - 1), largest=False).indices


def synthetic_labels(guidance: Guidance, labels: Tensor, options: Options, generator: torch.Generator) -> Tensor:
    """Return M copies of the labels [M, n], in each a random share replaced by the label of a random neighbour."""
    neighbours = nearest_neighbours(guidance.features, guidance.weights > 0, options.neighbours)
    eligible = (guidance.weights.sum() - guidance.weights).long().clamp(max=neighbours.shape[1])
    size, device = (options.num_fast, len(labels)), labels.device
    ranks = torch.randint(neighbours.shape[1], size, generator=generator, device=device) % eligible.clamp(min=1)
    transferred = labels[neighbours.gather(1, ranks.T)].T
    order = torch.rand(size, generator=generator, device=device).argsort(dim=1)
    replaced = (order < int(options.perturb_ratio * len(labels))) & (eligible > 0)
    return torch.where(replaced, transferred, labels)


def consistency_loss(logits: Tensor, guidance: Guidance) -> Tensor:
    """Return the mean KL divergence of the prediction [n, C] from the guidance's targets."""
    targets = guidance.targets
    divergence = (torch.xlogy(targets, targets) - targets * logits.log_softmax(dim=1)).sum(dim=1)
    return weighted_mean(divergence, guidance.weights)


METHOD = MLNT
