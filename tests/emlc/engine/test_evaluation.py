"""Accuracy and loss by hand, in evaluation mode, without touching the method."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from emlc.engine import samples
from emlc.engine.evaluation import Score, evaluate, evaluating, outputs
from emlc.engine.samples import Samples
from emlc.engine.state import networks
from tests.settings import numbered, shifting


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


def halved(images, _):
    return images.float() / 2


PIXELS = torch.tensor([[4, 0, 0], [0, 4, 0], [0, 0, 4], [6, 0, 0]], dtype=torch.uint8).view(4, 3, 1, 1)


def three_classes(labels):
    return Samples(PIXELS[: len(labels)], torch.tensor(labels), {"plain": halved}, lambda name: torch.Generator())


SAMPLES = three_classes([0, 1, 1, 0])


def test_the_score_by_hand():
    method = Reading()
    accuracy, loss = evaluate(method, SAMPLES)
    right, wrong = math.log(math.exp(2) + 2) - 2, math.log(math.exp(2) + 2)
    assert accuracy == 75
    assert loss == pytest.approx((2 * right + wrong + math.log(math.exp(3) + 2) - 3) / 4, rel=1e-6)


def test_modes_are_evaluation_inside_and_as_before_afterwards():
    method = Reading()
    evaluate(method, SAMPLES)
    assert method.student.modes == [(False, False)]
    assert (method.student.training, method.student.norm.training, method.other.training) == (True, True, False)


def test_chunks_do_not_show(monkeypatch):
    whole = evaluate(Reading(), SAMPLES)
    monkeypatch.setattr(samples, "CHUNK", 3)
    method = Reading()
    assert evaluate(method, SAMPLES) == whole
    assert method.student.sizes == [3, 1]


def test_a_third_is_rounded_to_six_digits():
    assert evaluate(Reading(), three_classes([0, 2, 0])).accuracy == 33.333333


def test_a_score_is_plain_numbers():
    score = evaluate(Reading(), SAMPLES)
    assert isinstance(score, Score)
    assert [type(value) for value in score] == [float, float]


class Peers:
    """Networks where a method may keep them: in a list, in a dictionary, in an object of its own."""

    def __init__(self):
        self.listed, self.named = [Reader(), Reader()], {"teacher": Reader()}
        self.nested = SimpleNamespace(network=nn.ModuleDict({"a": Reader()}), peer=self.listed[0])
        self.nested.network["a"].norm.eval()


def test_networks_are_found_wherever_they_are_and_left_as_they_were():
    peers = Peers()
    readers = [*peers.listed, peers.named["teacher"], peers.nested.network["a"]]
    assert len(networks(peers)) == 4
    with evaluating(peers):
        assert not any(layer.training for reader in readers for layer in reader.modules())
    assert [(reader.training, reader.norm.training) for reader in readers] == [(True, True)] * 3 + [(True, False)]


def test_modes_are_back_after_an_error():
    method = Reading()
    with pytest.raises(ZeroDivisionError), evaluating(method):
        1 / 0  # noqa: B018
    assert (method.student.training, method.other.training) == (True, False)


def test_outputs_of_every_sample_in_order(monkeypatch):
    monkeypatch.setattr(samples, "CHUNK", 2)
    net = Reader()
    logits, labels = outputs(net, lambda batch: (net(batch.inputs), batch.labels), SAMPLES)
    assert torch.equal(logits, PIXELS.flatten(1) / 2)
    assert torch.equal(labels, SAMPLES.labels)
    assert net.modes == [(False, False)] * 2
    assert net.training


def test_outputs_of_some_samples_in_their_order(monkeypatch):
    monkeypatch.setattr(samples, "CHUNK", 2)
    net = Reader()
    logits = outputs(net, lambda batch: net(batch.inputs), SAMPLES, over=torch.tensor([3, 0, 2]))
    assert torch.equal(logits, PIXELS.flatten(1)[[3, 0, 2]] / 2)


def test_outputs_are_constants_that_a_loss_may_use():
    net = nn.Linear(4, 2)
    probabilities = outputs(net, lambda batch: net(batch.inputs.flatten(1)).softmax(1), numbered(torch.zeros(6)))
    assert not probabilities.requires_grad
    (probabilities * net(torch.ones(6, 4))).sum().backward()
    assert net.weight.grad is not None


def test_a_random_view_draws_from_the_generator_it_is_given():
    net, some = nn.Identity(), numbered(torch.zeros(3))
    draws = [torch.Generator().manual_seed(seed) for seed in (1, 1, 2)]
    seen = [outputs(net, lambda batch: batch.inputs, some, "weak", draw) for draw in draws]
    images = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 1, 2, 2)
    assert torch.equal(seen[0], shifting(images, torch.Generator().manual_seed(1)))
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    with pytest.raises(ValueError, match="'weak' is random: give the generator"):
        outputs(net, lambda batch: batch.inputs, some, "weak")
