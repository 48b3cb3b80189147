"""Accuracy and loss by hand, in evaluation mode, without touching the method."""

import math

import pytest
import torch
from torch import nn

from emlc.engine import evaluation
from emlc.engine.evaluation import Score, evaluate
from emlc.engine.streams import ImageSet


class Reader(nn.Module):
    """Logits that are the pixels; notes the mode and the batch sizes it is called in."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3)
        self.modes, self.sizes = [], []

    def forward(self, inputs):
        self.modes.append((self.training, torch.is_grad_enabled()))
        self.sizes.append(len(inputs))
        return inputs.flatten(1)


class Reading:
    def __init__(self):
        self.student, self.other, self.count = Reader(), nn.Dropout(), 3
        self.other.eval()

    def logits(self, inputs):
        return self.student(inputs)


def halved(images):
    return images.float() / 2


SAMPLES = ImageSet(
    torch.tensor([[4, 0, 0], [0, 4, 0], [0, 0, 4], [6, 0, 0]], dtype=torch.uint8).view(4, 3, 1, 1),
    torch.tensor([0, 1, 1, 0]),
)


def test_the_score_by_hand():
    method = Reading()
    accuracy, loss = evaluate(method, SAMPLES, halved)
    right, wrong = math.log(math.exp(2) + 2) - 2, math.log(math.exp(2) + 2)
    assert accuracy == 75
    assert loss == pytest.approx((2 * right + wrong + math.log(math.exp(3) + 2) - 3) / 4, rel=1e-6)


def test_modes_are_evaluation_inside_and_as_before_afterwards():
    method = Reading()
    evaluate(method, SAMPLES, halved)
    assert method.student.modes == [(False, False)]
    assert (method.student.training, method.student.norm.training, method.other.training) == (True, True, False)


def test_chunks_do_not_show(monkeypatch):
    whole = evaluate(Reading(), SAMPLES, halved)
    monkeypatch.setattr(evaluation, "CHUNK", 3)
    method = Reading()
    assert evaluate(method, SAMPLES, halved) == whole
    assert method.student.sizes == [3, 1]


def test_a_third_is_rounded_to_six_digits():
    samples = ImageSet(SAMPLES.images[:3], torch.tensor([0, 2, 0]))
    assert evaluate(Reading(), samples, halved).accuracy == 33.333333


def test_a_score_is_plain_numbers():
    score = evaluate(Reading(), SAMPLES, halved)
    assert isinstance(score, Score)
    assert [type(value) for value in score] == [float, float]
