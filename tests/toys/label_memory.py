"""A label memory: a free vector per sample, trained by an optimiser of its own beside the student."""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from emlc.engine.contract import StudentMethod


@dataclass(frozen=True)
class Options:
    certainty: float = 3.0
    label_lr: float = 20.0


class LabelMemory(StudentMethod):
    """Labels are the softmax of what is kept; predictions of the last three epochs are kept in a ring."""

    Options = Options
    learns_from_clean = False

    def __init__(self, setting, options):
        super().__init__(setting, options)
        given = F.one_hot(setting.noisy.labels, setting.num_classes)
        self.kept = (options.certainty * given).float().requires_grad_()
        self.label_optimiser = torch.optim.SGD([self.kept], lr=options.label_lr)
        self.ring = [torch.zeros_like(self.kept) for _ in range(3)]

    def learn(self, noisy, clean):
        logits = self.student(noisy.inputs)
        self.ring[self.epoch % 3][noisy.indices] = logits.detach().softmax(1)
        loss = F.cross_entropy(logits, self.kept[noisy.indices].softmax(1))
        self.optimiser.zero_grad()
        self.label_optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.label_optimiser.step()
        return {"student_loss": loss.detach()}

    def end_epoch(self, epoch):
        if epoch == 2:
            with torch.no_grad():
                self.kept.copy_(torch.stack(self.ring).mean(0).clamp_min(1e-6).log())


METHOD = LabelMemory
