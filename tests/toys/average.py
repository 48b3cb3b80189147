"""A moving average of the student gives it targets and is what is reported."""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from emlc.engine.averages import follower, move_average
from emlc.engine.contract import StudentMethod


@dataclass(frozen=True)
class Options:
    decay: float = 0.9


class Average(StudentMethod):
    """The average runs in training mode, on statistics of its own."""

    Options = Options
    learns_from_clean = False

    def __init__(self, setting, options):
        super().__init__(setting, options)
        self.teacher = follower(self.student)

    def learn(self, noisy, clean):
        with torch.no_grad():
            targets = self.teacher(noisy.inputs).softmax(1)
        logits = self.student(noisy.inputs)
        loss = F.cross_entropy(logits, noisy.labels) + F.cross_entropy(logits, targets)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        move_average(self.teacher, self.student, self.options.decay)
        return {"student_loss": loss.detach()}

    def logits(self, inputs):
        return self.teacher(inputs)


METHOD = Average
