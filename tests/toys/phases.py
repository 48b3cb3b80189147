"""Two phases: the first learns labels, the second trains a fresh student on them and is the one reported."""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from emlc.engine.contract import StudentMethod
from emlc.engine.evaluation import outputs


@dataclass(frozen=True)
class Options:
    first: int = 2


class Phases(StudentMethod):
    """Metrics differ between the phases; the second freezes the first layer."""

    Options = Options
    learns_from_clean = False

    def __init__(self, setting, options):
        super().__init__(setting, options)
        self.labels = F.one_hot(setting.noisy.labels, setting.num_classes).float()
        self.first_reported = options.first

    def begin_epoch(self, epoch):
        if epoch == self.options.first:
            self.labels = outputs(self, lambda batch: self.student(batch.inputs).softmax(1), self.setting.noisy)
            self.student.load_state_dict(self.setting.build("again").state_dict())
            self.optimiser.state.clear()
            self.student.conv1.requires_grad_(False)
        super().begin_epoch(epoch)
        if epoch >= self.options.first:
            self.student.conv1.eval()

    def learn(self, noisy, clean):
        logits = self.student(noisy.inputs)
        loss = F.cross_entropy(logits, self.labels[noisy.indices])
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        if self.epoch < self.options.first:
            return {
                "label_loss": loss.detach(),
                "entropy": torch.special.entr(logits.detach().softmax(1)).sum(1).mean(),
            }
        return {"student_loss": loss.detach()}


METHOD = Phases
