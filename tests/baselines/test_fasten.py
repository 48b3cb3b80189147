"""FasTEN's step against loops written from its equations, its label memory by hand, and what it learns."""

import copy
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from baselines.fasten import EPSILON, METHOD, Options, estimated_matrix, forward_corrected, relabelled
from emlc.engine.contract import Batch, Training
from emlc.models import build_model
from tests.baselines.learning import train_on_digits
from tests.settings import make_setting

CLASSES = 3
GIVEN = torch.tensor([0, 1, 2, 1, 0, 2, 2, 1])
ROOT = Path(__file__).resolve().parents[2]


def cnn(role: str) -> nn.Module:
    return build_model("cnn-small", CLASSES, 1, torch.Generator().manual_seed(0), width=2).double()


class Scores(nn.Module):
    """Takes inputs for features and features for logits, so that a test decides what the clean head says."""

    feature_dim = CLASSES

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(CLASSES, CLASSES, bias=False, dtype=torch.float64)
        with torch.no_grad():
            self.classifier.weight.copy_(torch.eye(CLASSES))

    def features(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs


def make_method(build=cnn, lr: float = 0.1, **options) -> METHOD:
    setting = make_setting(
        build, Training(epochs=2, batch_size=4, lr=lr, momentum=0.0, weight_decay=0.0), CLASSES, GIVEN, seeds=(1, 2)
    )
    method = METHOD(setting, Options(**options))
    method.noisy_head.double()
    method.begin_epoch(0)
    return method


def images(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def noisy_batch(*positions: int) -> Batch:
    indices = torch.tensor(positions)
    return Batch((images(len(indices), 3),), GIVEN[indices], indices)


def clean_batch() -> Batch:
    return Batch((images(6, 4),), torch.tensor([0, 0, 1, 1, 2, 2]), torch.arange(6))


def test_transition_matrix_is_the_mean_prediction_per_class() -> None:
    logits = torch.randn(7, CLASSES, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([2, 0, 1, 0, 2, 2, 1])
    by_hand = torch.zeros(CLASSES, CLASSES, dtype=torch.float64)
    for i in range(CLASSES):
        members = [x for x in range(7) if labels[x] == i]
        for j in range(CLASSES):
            for x in members:
                exponentials = [math.exp(value) for value in logits[x].tolist()]
                by_hand[i, j] += exponentials[j] / sum(exponentials) / len(members)
    matrix = estimated_matrix(logits, labels)
    torch.testing.assert_close(matrix, by_hand, rtol=0, atol=1e-15)
    torch.testing.assert_close(matrix.sum(dim=1), torch.ones(CLASSES, dtype=torch.float64))


def test_no_gradient_flows_into_the_matrix() -> None:
    logits = torch.randn(3, CLASSES, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert not estimated_matrix(logits.requires_grad_(), torch.arange(3)).requires_grad


def test_forward_correction_mixes_the_clean_probabilities_by_the_matrix() -> None:
    logits = torch.log(torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], dtype=torch.float64))
    matrix = torch.tensor([[0.6, 0.3, 0.1], [0.0, 1.0, 0.0], [0.2, 0.2, 0.6]], dtype=torch.float64)
    losses = forward_corrected(logits, matrix, torch.tensor([1, 0])).tolist()
    assert losses[0] == pytest.approx(-math.log(0.3 * 0.7 + 1.0 * 0.2 + 0.2 * 0.1 + 1e-7), rel=1e-12)
    assert losses[1] == pytest.approx(-math.log(0.6 * 0.1 + 0.0 * 0.1 + 0.2 * 0.8 + 1e-7), rel=1e-12)


def test_an_impossible_label_has_a_finite_loss() -> None:
    matrix = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    loss = forward_corrected(torch.zeros(1, 2, dtype=torch.float64), matrix, torch.tensor([1]))
    assert loss.item() == pytest.approx(-math.log(EPSILON))


def slow_step(
    student: nn.Module, head: nn.Module, noisy: Batch, clean: Batch, weight: float, lr: float
) -> tuple[float, float]:
    """One step written from the equations, sample by sample; changes the modules it is given."""
    features, clean_features = student.features(noisy.inputs), student.features(clean.inputs)
    with torch.no_grad():
        matrix = [[0.0] * CLASSES for _ in range(CLASSES)]
        for row, label in zip(head(clean_features).softmax(dim=1).tolist(), clean.labels.tolist(), strict=True):
            for j in range(CLASSES):
                matrix[label][j] += row[j] * CLASSES / len(clean.labels)
    probabilities = student.classifier(features).softmax(dim=1)
    clean_probabilities = student.classifier(clean_features).softmax(dim=1)
    noisy_probabilities = head(features).softmax(dim=1)
    corrected = [
        -torch.log(sum(matrix[i][label] * probabilities[n, i] for i in range(CLASSES)) + 1e-7)
        for n, label in enumerate(noisy.labels.tolist())
    ]
    on_clean = [-torch.log(clean_probabilities[m, label]) for m, label in enumerate(clean.labels.tolist())]
    clean_loss = sum(corrected + on_clean) / (len(corrected) + len(on_clean))
    noisy_loss = -sum(torch.log(noisy_probabilities[n, label]) for n, label in enumerate(noisy.labels.tolist()))
    noisy_loss = noisy_loss / len(noisy.labels)
    parameters = [*student.parameters(), *head.parameters()]
    gradients = torch.autograd.grad(clean_loss + weight * noisy_loss, parameters)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= lr * gradient
    return clean_loss.item(), noisy_loss.item()


def test_a_step_equals_one_written_sample_by_sample() -> None:
    method = make_method(noisy_weight=0.7)
    student, head = copy.deepcopy(method.student), copy.deepcopy(method.noisy_head)
    noisy, clean = noisy_batch(5, 0, 3, 2), clean_batch()
    metrics = method.learn(noisy, clean)
    clean_loss, noisy_loss = slow_step(student, head, noisy, clean, weight=0.7, lr=0.1)
    assert metrics["student_loss"].item() == pytest.approx(clean_loss, rel=1e-12)
    assert metrics["noisy_head_loss"].item() == pytest.approx(noisy_loss, rel=1e-12)
    for ours, theirs in ((method.student, student), (method.noisy_head, head)):
        torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=1e-14)


def test_relabels_from_the_threshold_on() -> None:
    logits = torch.log(torch.tensor([[0.25, 0.75], [0.5, 0.5], [0.74, 0.26], [0.9, 0.1]], dtype=torch.float64))
    confident = logits.softmax(dim=1).max(dim=1).values[0].item()
    assert relabelled(logits, torch.tensor([0, 1, 1, 1]), confident).tolist() == [1, 1, 1, 0]


def visit(method: METHOD, logits: list[float], used: int) -> None:
    """Show sample 1 (given label 1) with these clean-head logits; both losses must be those on the label `used`."""
    inputs = torch.tensor([logits], dtype=torch.float64)
    clean = Batch((torch.eye(CLASSES, dtype=torch.float64),), torch.arange(CLASSES), torch.arange(CLASSES))
    expected = slow_step(
        method.student, method.noisy_head, Batch((inputs,), torch.tensor([used]), inputs), clean, 0.5, 0.0
    )
    metrics = method.learn(Batch((inputs,), GIVEN[1:2], torch.tensor([1])), clean)
    assert [metrics["student_loss"].item(), metrics["noisy_head_loss"].item()] == pytest.approx(expected, rel=1e-10)


def test_a_correction_is_used_at_the_next_visit_and_then_forgotten() -> None:
    method = make_method(lambda role: Scores(), lr=0.0)
    sure_of_2, sure_of_0, unsure = [0.0, 0.0, 9.0], [9.0, 0.0, 0.0], [0.1, 0.0, 0.0]
    visit(method, sure_of_2, used=1)  # the given label
    visit(method, sure_of_0, used=2)  # what the first visit predicted
    visit(method, unsure, used=0)
    visit(method, unsure, used=1)  # the given label again, not the stale 0
    others = torch.arange(len(GIVEN)) != 1
    assert torch.equal(method.labels[others], GIVEN[others])


def test_leaves_the_given_labels_alone() -> None:
    method = make_method(lambda role: Scores(), lr=0.0)
    given = GIVEN.clone()
    visit(method, [0.0, 0.0, 9.0], used=1)
    assert torch.equal(method.setting.noisy.labels, given)
    assert method.labels[1] == 2


def test_resumes_from_its_state() -> None:
    whole, first, second = (make_method(threshold=0.3) for _ in range(3))
    for method in (whole, first):
        method.learn(noisy_batch(0, 1, 2, 3), clean_batch())
    second.load_state(copy.deepcopy(first.state()))
    losses = [method.learn(noisy_batch(3, 2, 1, 0), clean_batch()) for method in (whole, second)]
    assert losses[0] == losses[1]
    assert not torch.equal(whole.labels, GIVEN)
    assert torch.equal(whole.labels, second.labels)


MARGIN = 4.0
"""Points of test accuracy over Cross-Entropy at 50 % symmetric noise, below the smallest that was measured: over seeds
0 to 3 it gained 9.5, 11.7, 8.6 and 6.6."""


def last_accuracy(implementation: str, seed: int) -> float:
    return train_on_digits(implementation, {}, seed, epochs=10).accuracies[-1]


def test_learns_more_than_cross_entropy() -> None:
    assert last_accuracy("baselines.fasten", 0) >= last_accuracy("baselines.cross_entropy", 0) + MARGIN
