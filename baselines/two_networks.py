"""Two networks that learn in turns, each on the division of the samples that the other one's losses suggest.

What DivideMix, its descendants and FaMUS share; :mod:`baselines.codivision` has what they compute of a batch.
"""

from abc import abstractmethod
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.codivision import Options, divide, negative_entropy, ramp_up, refine, sample_losses, sharpen
from baselines.loss_mixture import low_loss_probability, scaled
from emlc.engine.contract import Batch, Method, Setting, set_learning_rate, student_sgd
from emlc.engine.evaluation import outputs


class CoDivision(Method):
    """Two networks that warm up on the given labels, then learn in turns on divided samples.

    After the warm-up every epoch fits a mixture of two normal distributions to each network's losses; w_i is a
    sample's probability of the lower one. The first network takes a pass over the samples that the second divides,
    then the second over those of the first. The reported model is the sum of both networks' logits.

    Attributes
    ----------
    views : tuple of str
        Of every sample: the last two are analysed, for targets; a method says which ones it learns from.
    warm_up_view, scoring_view : str
        Of what the warm-up learns from, and of what losses are modelled of.
    turn : int
        0 while the first network learns, 1 while the second does.
    credibility : list of Tensor [N]
        What each network's losses say of every label.
    divisions : list of pairs of Tensor
        The positions of the samples that keep their label, and of the others, by each network's losses.
    """

    Options = Options
    learns_from_clean = False
    views: tuple[str, ...] = ("weak", "weak")
    scoring_view = "plain"
    warm_up_view = "weak"

    def __init__(self, setting: Setting, options: Options) -> None:
        super().__init__(setting, options)
        self.networks = [setting.build(role) for role in ("first", "second")]
        self.optimisers = [student_sgd(network, setting.training) for network in self.networks]
        size, epochs = setting.training.batch_size, setting.training.epochs
        part = max(1, round(options.batch_share * size))
        self.given = setting.noisy.stream(size, self.warm_up_view, name="given")
        streams = [setting.noisy.stream(part, *self.views, name=name) for name in ("labelled", "unlabelled")]
        self.labelled, self.unlabelled = streams
        self.warm_up_epochs = max(1, round(options.warm_up * epochs))
        self.ramp_epochs = options.ramp * epochs
        self.credibility = [torch.ones(len(setting.noisy), device=setting.device) for _ in self.networks]
        self.losses: list[list[Tensor]] = [[], []]
        self.divisions = [divide(credibility, options.threshold) for credibility in self.credibility]
        self.turn, self.taken, self.start, self.end = -1, 0, 0, 0

    def begin_epoch(self, epoch: int) -> None:
        """Set modes and learning rates; model the losses unless the networks are warming up."""
        super().begin_epoch(epoch)
        for optimiser in self.optimisers:
            set_learning_rate(optimiser, self.setting.training.learning_rate(epoch))
        self.turn, self.taken, self.start, self.end = -1, 0, 0, 0
        if not self.is_warming_up:
            self.assess(1)
            if not self.options.late_division:
                self.assess(0)

    @property
    def is_warming_up(self) -> bool:
        """Whether the epoch trains on all given labels."""
        return self.epoch < self.warm_up_epochs

    def steps(self) -> int:
        """Return the steps of the turns that have begun, and one for one that has not."""
        return self.end + (self.turn < 1)

    def step(self) -> dict[str, Tensor]:
        """Train the network whose turn it is."""
        if self.taken == self.end:
            self._begin_turn((self.turn + 1) % len(self.networks))
        learner, peer = self.networks[self.turn], self.networks[1 - self.turn]
        if self.is_warming_up:
            loss = self.warm_up_loss(learner, self.given.next())
        else:
            loss = self.loss(learner, peer, self.labelled.next(), self.unlabelled.next())
        self._descend(loss)
        self.taken += 1
        return {"student_loss": loss.detach(), "labelled_share": torch.full_like(loss.detach(), self.labelled_share)}

    def logits(self, inputs: Tensor) -> Tensor:
        """Return the sum of both networks' logits [n, C]."""
        return self.networks[0](inputs) + self.networks[1](inputs)

    @abstractmethod
    def loss(self, learner: nn.Module, peer: nn.Module, labelled: Batch, unlabelled: Batch) -> Tensor:
        """Return the loss of a step after the warm-up."""

    def warm_up_loss(self, learner: nn.Module, batch: Batch) -> Tensor:
        """Return Cross-Entropy on the given labels, less the predictions' entropy if the options say so."""
        logits = learner(batch.inputs)
        loss = F.cross_entropy(logits, batch.labels)
        return loss + negative_entropy(logits) if self.options.entropy_bonus else loss

    def credit(self, batch: Batch) -> Tensor:
        """Return what the peer's losses say of some samples' labels: w [n]."""
        return self.credibility[1 - self.turn][batch.indices]

    def refined(self, batch: Batch, own: Tensor) -> Tensor:
        """Return the targets [n, C] of samples whose label counts as much as the peer's losses credit it."""
        return refine(batch.labels, self.credit(batch), own, self.options.temperature)

    def guessed(self, own: Tensor, other: Tensor) -> Tensor:
        """Return the targets of samples whose label does not count, from both networks' predictions [n, C]."""
        return sharpen((own + other) / 2, self.options.temperature)

    def open_streams(self) -> int:
        """Let the streams draw from the peer's division and return the steps of the turn: a pass over kept labels."""
        for stream, members in zip((self.labelled, self.unlabelled), self.divisions[1 - self.turn], strict=True):
            stream.over(members)
        return self.labelled.batches_per_pass

    @property
    def labelled_share(self) -> float:
        """Of the samples that are learned from, how many keep their label."""
        return 1.0 if self.is_warming_up else len(self.labelled.members) / len(self.setting.noisy)

    @property
    def unlabelled_weight(self) -> float:
        """lambda_u with its ramp at this step."""
        now = self.epoch + (self.taken - self.start) / (self.end - self.start)
        return self.options.unlabelled_weight * ramp_up(now, self.warm_up_epochs, self.ramp_epochs)

    def _begin_turn(self, turn: int) -> None:
        """Let the other network learn, on the division of its peer."""
        self.turn, self.start = turn, self.end
        self.networks[turn].train()
        self.networks[1 - turn].eval()
        if self.is_warming_up:
            self.end += self.given.batches_per_pass
            return
        if turn == 1 and self.options.late_division:
            self.assess(0)
        self.end += self.open_streams()

    def assess(self, number: int) -> None:
        """Model the losses of a network, averaged over its last epochs, as a mixture of low and high ones."""
        network, generator = self.networks[number], self.setting.generator
        losses = outputs(network, partial(sample_losses, network), self.setting.noisy, self.scoring_view, generator)
        self.losses[number] = [*self.losses[number], scaled(losses)][-self.options.loss_epochs :]
        mean = torch.stack(self.losses[number]).mean(dim=0)
        self.credibility[number] = low_loss_probability(mean, self.options.mixture_steps)
        self.divisions[number] = divide(self.credibility[number], self.options.threshold)

    def _descend(self, loss: Tensor) -> None:
        """Take a step of the network whose turn it is."""
        optimiser = self.optimisers[self.turn]
        optimiser.zero_grad()
        loss.backward()
        if self.is_warming_up and self.options.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.networks[self.turn].parameters(), self.options.clip_norm)
        optimiser.step()
