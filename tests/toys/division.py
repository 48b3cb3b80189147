"""Two networks: each trains on the samples that the other one finds easy, and is trained with before it divides."""

from dataclasses import dataclass
from functools import partial

import torch
from torch.nn import functional as F

from emlc.engine.contract import Method, set_learning_rate, student_sgd
from emlc.engine.evaluation import outputs


@dataclass(frozen=True)
class Options:
    warm_up: int = 1


class Division(Method):
    """The second network's samples are chosen by the first one as it is after its own turn in the epoch."""

    Options = Options
    learns_from_clean = False

    def __init__(self, setting, options):
        super().__init__(setting, options)
        roles, size = ("first", "second"), setting.training.batch_size
        self.networks = [setting.build(role) for role in roles]
        self.optimisers = [student_sgd(network, setting.training) for network in self.networks]
        self.streams = [setting.noisy.stream(size, "weak", name=role) for role in roles]
        self.everything = torch.arange(len(setting.noisy), device=setting.device)
        self.turn, self.taken, self.left = 0, 0, [0, 0]

    def begin_epoch(self, epoch):
        super().begin_epoch(epoch)
        for optimiser in self.optimisers:
            set_learning_rate(optimiser, self.setting.training.learning_rate(epoch))
        self.turn, self.taken = 0, 0
        self._divide()

    def _divide(self):
        """Begin the turn of a network, over what its peer finds easy."""
        peer, stream = self.networks[1 - self.turn], self.streams[self.turn]
        easy = self.everything
        if self.epoch >= self.options.warm_up:
            losses = outputs(peer, partial(losses_of, peer), self.setting.noisy)
            easy = torch.nonzero(losses <= losses.median()).flatten()
        stream.over(easy)
        self.left[self.turn] = stream.batches_per_pass

    def steps(self):
        return self.left[0] + max(1, self.left[1])

    def step(self):
        if self.turn == 0 and self.left[0] == self.taken:
            self.turn = 1
            self._divide()
        self.taken += 1
        network, optimiser = self.networks[self.turn], self.optimisers[self.turn]
        batch = self.streams[self.turn].next()
        loss = F.cross_entropy(network(batch.inputs), batch.labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return {f"loss_{self.turn + 1}": loss.detach()}

    def logits(self, inputs):
        return sum(network(inputs) for network in self.networks)


def losses_of(network, batch):
    return F.cross_entropy(network(batch.inputs), batch.labels, reduction="none")


METHOD = Division
