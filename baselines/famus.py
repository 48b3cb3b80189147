"""FaMUS: faster meta update strategy (Xu, Zhu, Jiang and Yang, CVPR 2021; youjiangxu/FaMUS)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines import codivision
from baselines.codivision import Part, Twofold, credible, from_uniform, mix, predict
from baselines.gates import GATES
from baselines.mixup import mixup_coefficient
from baselines.two_networks import CoDivision
from baselines.weight_net import WeightNet
from emlc.engine.contract import Batch, Setting
from emlc.metagrad.feedback import clean_feedback
from emlc.metagrad.tape import Tape
from emlc.records.errors import SuiteError


@dataclass(frozen=True)
class Options(codivision.Options):
    """Those of :class:`baselines.codivision.Options`, and the meta-learner's; the defaults are for CIFAR and CNWL.

    The paper does not say which weight of the unlabelled loss and alpha its CIFAR results have: those of the released
    code, for CNWL with 20 % noise, are 50 and 1; it has 1.5 at 40 and 60 %, and 100 and 2 at 80 %.

    Attributes
    ----------
    meta_threshold : float
        Probability of a low loss above which a label counts as clean.
    meta_lr, gate_lr : float
        Of the weight network's and of the gates' SGD.
    hidden : int
        Size of the weight network's hidden layer.
    gates : {"layers", "last-tensors"}
        One for each layer as in the paper, or the released code's (:mod:`baselines.gates`).
    open_gates : int
        K: gates that shall be open.
    gate_weight, gap_weight : float
        lambda_1 and lambda_2; the paper searched 0 and 0.1.
    """

    warm_up: float = 30 / 300
    unlabelled_weight: float = 50.0
    alpha: float = 1.0
    meta_threshold: float = 0.5
    meta_lr: float = 1e-3
    gate_lr: float = 0.1
    hidden: int = 100
    gates: str = "layers"
    open_gates: int = 4
    gate_weight: float = 0.1
    gap_weight: float = 0.1

    def __post_init__(self) -> None:
        """Refuse values that no run can follow."""
        super().__post_init__()
        if not 0 <= self.meta_threshold <= 1:
            raise SuiteError(f"meta_threshold is {self.meta_threshold}; it must be from 0 to 1")
        if self.gates not in GATES:
            raise SuiteError(f"gates is {self.gates}; it must be {' or '.join(GATES)}")
        for name in ("hidden", "open_gates"):
            if getattr(self, name) < 1:
                raise SuiteError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("meta_lr", "gate_lr", "gate_weight", "gap_weight"):
            if getattr(self, name) < 0:
                raise SuiteError(f"{name} is {getattr(self, name)}; it must not be below 0")
        if self.labelled_only:
            raise SuiteError("labelled_only is true; FaMUS learns from all samples")


class FaMUS(CoDivision):
    """Two networks on divided samples, each weighted by a network that a few layers' meta-gradient trains.

    All views of B labelled and B unlabelled samples have a refined and a guessed target, and are mixed. With h_i the
    Cross-Entropy with the refined one, V the weight network and ``v = V(h) / sum V(h)``, a step descends
    ``sum v_i l_i + KL(uniform || mean prediction)``, where l_i is ``2 h_i`` for the first half and
    ``2 lambda_u ramp(t) mean_c (p_ic - guess_ic)^2`` for the second.

    Before that V and the gates take an SGD step on ``L_c + lambda_1 L_r + lambda_2 L_g``: the Cross-Entropy L_c of
    mixed samples whose labels count as clean, at ``w^ = w - lr grad_w loss``, whose derivative by V goes through the
    layers with an open gate only; how far the number of these is from K; and how far the classifier's gradients of
    loss and L_c, the latter a constant, are apart in their means over features. No clean labels are used.

    A step has 8 B images forward, 4 B forward and twice backward, 4 B through a Jacobian and 2 B of the pseudo-clean
    set forward and backward.
    """

    Options = Options

    def __init__(self, setting: Setting, options: Options) -> None:
        super().__init__(setting, options)
        initial, device = setting.initial, setting.device
        self.weight_nets = [WeightNet(options.hidden, initial).to(device) for _ in self.networks]
        self.gates = [GATES[options.gates](network, initial).to(device) for network in self.networks]
        self.meta_optimisers = [
            torch.optim.SGD(
                [{"params": net.parameters()}, {"params": gates.parameters(), "lr": options.gate_lr}],
                lr=options.meta_lr,
            )
            for net, gates in zip(self.weight_nets, self.gates, strict=True)
        ]
        self.trusted = [torch.arange(len(setting.noisy), device=device) for _ in self.networks]
        self.meta = setting.noisy.stream(self.labelled.largest, *self.views, name="pseudo-clean")

    def assess(self, number: int) -> None:
        """Model a network's losses; they say which labels count as clean, too."""
        super().assess(number)
        self.trusted[number] = credible(self.credibility[number], self.options.meta_threshold, self.labelled.largest)

    def open_streams(self) -> int:
        """Let the streams draw from what the peer says and return the steps: a pass over the larger part."""
        super().open_streams()
        self.meta.over(self.trusted[1 - self.turn])
        return max(self.labelled.batches_per_pass, self.unlabelled.batches_per_pass)

    def logits(self, inputs: Tensor) -> Tensor:
        """Return the mean of both networks' logits [n, C]."""
        return super().logits(inputs) / 2

    def loss(self, learner: nn.Module, peer: nn.Module, labelled: Batch, unlabelled: Batch) -> Tensor:
        """Update the weights' network and return the weighted loss of a step."""
        parts = [self.twofold(learner, peer, batch) for batch in (labelled, unlabelled)]
        mixed = self._mixed(*parts)
        tape = Tape(learner)
        with tape:
            features = learner.features(mixed.inputs)
            logits = learner.classifier(features)
        hardness = F.cross_entropy(logits, mixed.refined, reduction="none")
        terms = self.terms(logits, hardness, mixed.guessed)
        self._learn_weights(learner, tape, features.detach(), logits, hardness, terms)
        with torch.no_grad():
            shares = normalised(self.weight_nets[self.turn](hardness))
        return (shares * terms).sum() + from_uniform(logits)

    @torch.no_grad()
    def twofold(self, learner: nn.Module, peer: nn.Module, batch: Batch) -> Twofold:
        """Return both views of some samples with their targets."""
        own, other = (predict(network, batch.views) for network in (learner, peer))
        refined, guessed = self.refined(batch, own), self.guessed(own, other)
        return Twofold(torch.cat(batch.views), torch.cat((refined, refined)), torch.cat((guessed, guessed)))

    def terms(self, logits: Tensor, hardness: Tensor, guessed: Tensor) -> Tensor:
        """Return l [m]: of the first half Cross-Entropy, of the second the squares' mean."""
        half = len(logits) // 2
        squares = (logits[half:].softmax(dim=1) - guessed[half:]).square().mean(dim=1)
        return 2 * torch.cat((hardness[:half], self.unlabelled_weight * squares))

    def _learn_weights(
        self, learner: nn.Module, tape: Tape, features: Tensor, logits: Tensor, hardness: Tensor, terms: Tensor
    ) -> None:
        """Take the weight network's and the gates' step."""
        gates, options = self.gates[self.turn], self.options
        shares = normalised(self.weight_nets[self.turn](hardness))
        params, lr = dict(learner.named_parameters()), self.optimisers[self.turn].param_groups[0]["lr"]
        loss = (shares.detach() * terms).sum() + from_uniform(logits)
        slopes = torch.autograd.grad(loss, tuple(params.values()), retain_graph=True)
        gradients = dict(zip(params, slopes, strict=True))
        (deltas,) = torch.autograd.grad(terms.sum(), logits, retain_graph=True)
        feedback = self._feedback(
            learner, {name: value.detach() - lr * gradients[name] for name, value in params.items()}
        )
        states = gates(gradients, self.setting.generator)
        tangents = tape.jvp(logits, params, gates.through(feedback, states))
        through_weights = (shares * (deltas * tangents).sum(dim=1)).sum()
        through_gates = (gates.leverage(gradients, feedback, states) * states).sum()
        rows = gradients["classifier.weight"] + ((shares - shares.detach())[:, None] * deltas).T @ features
        gap = (rows - feedback["classifier.weight"]).mean(dim=1).square().sum()
        objective = -lr * (through_weights + through_gates)
        objective = (
            objective + options.gate_weight * gates.penalty(states, options.open_gates) + options.gap_weight * gap
        )
        self.meta_optimisers[self.turn].zero_grad()
        objective.backward()
        self.meta_optimisers[self.turn].step()

    def _feedback(self, learner: nn.Module, virtual: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the gradient of L_c after the virtual step."""
        batch = self.meta.next()
        given = F.one_hot(batch.labels, self.setting.num_classes).to(batch.inputs.dtype)
        mixed = self._mixed(Part(torch.cat(batch.views), torch.cat((given, given))))
        return clean_feedback(learner, virtual, mixed.inputs, mixed.targets)[1]

    def _mixed(self, *parts: codivision.Mixable) -> codivision.Mixable:
        generator = self.setting.generator
        return mix(parts, mixup_coefficient(self.options.alpha, generator), generator)


def normalised(weights: Tensor) -> Tensor:
    """Return weights [m] as shares of their sum."""
    return weights / weights.sum()


METHOD = FaMUS
