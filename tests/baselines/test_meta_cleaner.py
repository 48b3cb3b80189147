"""Meta Cleaner against numbers and loops written from its equations."""

import pytest
import torch
from torch.nn import functional as F

from baselines.meta_cleaner import MetaCleaner, Options, hallucinated
from emlc.engine.contract import Training
from emlc.records.errors import SuiteError
from tests.baselines.networks import TinyNet
from tests.baselines.patterns import cross_entropy, learn
from tests.settings import make_setting

LABELS = torch.tensor([0, 1, 2, 1, 0, 2, 2, 0, 1, 2, 2, 2])
TRAINING = Training(epochs=4, batch_size=5, lr=0.3, momentum=0.0, weight_decay=0)


@pytest.fixture
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Pixels(TinyNet):
    """Images of 2x2 are too small for the convolution."""

    def features(self, images):
        return images.flatten(1).to(self.conv.weight) @ torch.arange(16.0).view(4, 4).div(16) - self.conv.weight.mean()


def make_method(options: Options, labels=LABELS) -> MetaCleaner:
    return MetaCleaner(make_setting(lambda role: Pixels(7, 4), TRAINING, 4, labels), options)


def test_hallucination_is_the_worked_example():
    weights = torch.tensor([[1.0, 0.0, 2.0]]).softmax(1)
    torch.testing.assert_close(weights, torch.tensor([[0.244728, 0.090031, 0.665241]]), rtol=0, atol=1e-6)
    features = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])
    torch.testing.assert_close(hallucinated(features, weights), torch.tensor([[0.909969, 0.755272]]), rtol=0, atol=1e-6)


@pytest.mark.usefixtures("_double")
def test_a_step_equals_the_equations_by_hand():
    method = make_method(Options(set_size=3, hidden=6))
    batch = method.noisy.next()
    first, _, second = method.weighting
    losses = []
    for start in (0, 3, 6):
        vectors = method.student.features(batch.inputs[start : start + 3])
        hidden = torch.relu(first.weight @ torch.cat(list(vectors)) + first.bias)
        scores = (second.weight @ hidden + second.bias).exp()
        clean = sum(score / scores.sum() * vector for score, vector in zip(scores, vectors, strict=True))
        losses.append(F.cross_entropy(method.student.classifier(clean), batch.labels[start]))
    loss = sum(losses) / 3
    parameters = [*method.student.classifier.parameters(), *method.weighting.parameters()]
    gradients = torch.autograd.grad(loss, parameters)
    expected = [value - 0.3 * gradient for value, gradient in zip(parameters, gradients, strict=True)]
    assert all(gradient.abs().sum() > 0 for gradient in gradients)
    metrics = method.learn(batch, batch)
    torch.testing.assert_close(metrics["student_loss"], loss.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close([value.detach() for value in parameters], [value.detach() for value in expected])


def test_sets_share_a_label_and_hold_different_images_in_random_order():
    method, orders = make_method(Options(set_size=3)), set()
    for _ in range(20):
        batch = method.noisy.next()
        assert batch.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
        assert len(set(batch.indices.tolist())) == 9
        orders.add(tuple(batch.indices[:3].tolist()))
    assert len(orders) == 6
    assert method.steps() == 12 // 9


def test_a_single_image_is_classified_without_the_weighting():
    method = make_method(Options(set_size=3))
    images = torch.rand(2, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(method.logits(images), method.student(images))


def test_a_label_with_too_few_images_is_refused():
    with pytest.raises(SuiteError, match="set_size is 4, but label 0 was given to 3 images"):
        make_method(Options(set_size=4))


@pytest.mark.parametrize("options", [{"set_size": 0}, {"hidden": 0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(SuiteError, match=next(iter(options))):
        Options(**options)


MARGIN = 5.0
"""Points of test accuracy over Cross-Entropy, mean of two seeds: over seeds 0 to 3 Meta Cleaner gained 8.8, 10.6, 12.8
and 12.1. Over seeds 0 to 2 it gained -0.7, 4.5, 10.7 and 16.8 with sets of 2, 3, 5 and 10 images. At five times the
learning rate, which steps of five sets do not bear, it stands at 37.3, 20.7 below Cross-Entropy."""


def test_learns_more_than_cross_entropy():
    gains = [learn("baselines.meta_cleaner", {}, seed).accuracy - cross_entropy(seed) for seed in (0, 1)]
    assert sum(gains) / 2 >= MARGIN


def test_images_with_a_wrong_label_count_less():
    """Over seeds 0 to 3 they weigh 0.1970 to 0.1961, the others 0.2013 to 0.2025."""
    run = learn("baselines.meta_cleaner", {}, 0)
    weights, right = [], []
    for _ in range(40):
        batch = run.method.noisy.next()
        with torch.no_grad():
            sets = run.method.student.features(batch.inputs).unflatten(0, (-1, 5))
            weights.append(run.method.weighting(sets.flatten(1)).softmax(1).flatten())
        right.append(run.true[batch.indices] == batch.labels)
    weights, right = torch.cat(weights), torch.cat(right)
    assert weights[~right].mean() < weights[right].mean()
