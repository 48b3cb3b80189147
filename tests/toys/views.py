"""Four views of the same images: two weak ones guess the label, two strong ones learn it, by AdamW on a schedule."""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from emlc.engine.contract import Method


@dataclass(frozen=True)
class Options:
    lr: float = 1e-2
    batches: int = 7


class Views(Method):
    """A fixed number of steps an epoch, labelled and unlabelled batches of sizes of their own."""

    Options = Options

    def __init__(self, setting, options):
        super().__init__(setting, options)
        self.network = setting.build("student")
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=options.lr)
        self.schedule = torch.optim.lr_scheduler.ExponentialLR(self.optimiser, 0.9)
        self.labelled = setting.clean.balanced(10, "strong")
        self.unlabelled = setting.noisy.stream(4, "weak", "weak", "strong", "strong")

    def steps(self):
        return self.options.batches

    def step(self):
        labelled, unlabelled = self.labelled.next(), self.unlabelled.next()
        *weak, first, second = unlabelled.views
        with torch.no_grad():
            guesses = torch.stack([self.network(view).softmax(1) for view in weak]).mean(0)
        share = torch.rand((), generator=self.setting.generator, device=self.setting.device)
        mixed = share * first + (1 - share) * second
        supervised = F.cross_entropy(self.network(labelled.inputs), labelled.labels)
        guessed = F.cross_entropy(self.network(mixed), guesses)
        self.optimiser.zero_grad()
        (supervised + guessed).backward()
        self.optimiser.step()
        return {"supervised": supervised.detach(), "guessed": guessed.detach()}

    def end_epoch(self, epoch):
        self.schedule.step()

    def logits(self, inputs):
        return self.network(inputs)


METHOD = Views
