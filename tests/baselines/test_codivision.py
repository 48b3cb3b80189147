"""The values of small cases worked by hand, and what holds whatever the batch is."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from baselines.codivision import (
    Options,
    Part,
    divide,
    from_uniform,
    mean_square,
    mix,
    negative_entropy,
    ramp_up,
    refine,
    sharpen,
)
from baselines.mixup import mixup_coefficient
from emlc.records.errors import SuiteError

LOGITS = torch.tensor([[2, 1, 0], [0.5, -0.5, 0]], dtype=torch.float64)
SECOND = torch.tensor([[0.25, -0.25, 0], [1, 0.5, 0]], dtype=torch.float64)
LABELS, CREDIBILITY = torch.tensor([0, 1]), torch.tensor([0.9, 0.3], dtype=torch.float64)
PREDICTION = (LOGITS.softmax(1) + SECOND.softmax(1)) / 2
SHARPENED = torch.tensor([[0.998841, 0.000683, 0.000476], [0.331645, 0.589633, 0.078722]], dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_refined_targets():
    unsharpened = torch.tensor([[0.954223, 0.024950, 0.020826], [0.354536, 0.472732, 0.172732]], dtype=torch.float64)
    torch.testing.assert_close(refine(LABELS, CREDIBILITY, PREDICTION, 1.0), unsharpened, rtol=0, atol=1e-6)
    torch.testing.assert_close(refine(LABELS, CREDIBILITY, PREDICTION, 0.5), SHARPENED, rtol=0, atol=1e-6)


def test_losses():
    values = [F.cross_entropy(LOGITS, SHARPENED), mean_square(LOGITS, SHARPENED), from_uniform(LOGITS)]
    assert [round(value.item(), 5) for value in values] == [0.85925, 0.07072, 0.12997]
    entropy = -(LOGITS.softmax(1) * LOGITS.softmax(1).log()).sum(1).mean()
    torch.testing.assert_close(negative_entropy(LOGITS), -entropy)


@pytest.mark.parametrize(("epoch", "expected"), [(10, 0), (10.5, 0.78125), (18, 12.5), (26, 25), (300, 25)])
def test_ramp(epoch, expected):
    assert 25 * ramp_up(epoch, 10, 16) == expected


def test_no_ramp_is_full_weight_at_once():
    assert ramp_up(10, 10, 0) == 1


@given(st.lists(st.floats(0, 1), min_size=4, max_size=30), st.floats(0, 1))
def test_a_division_is_complete_and_respects_the_threshold(values, threshold):
    credibility = torch.tensor(values, dtype=torch.float64)
    kept, others = divide(credibility, threshold)
    assert sorted(torch.cat((kept, others)).tolist()) == list(range(len(values)))
    assert min(len(kept), len(others)) >= 2
    assert credibility[kept].min() >= credibility[others].max()
    if 2 < len(kept) < len(values) - 2:
        assert credibility[others].max() <= threshold < credibility[kept].min()


@given(st.floats(0.1, 2))
def test_sharpening_keeps_distributions_and_their_order(temperature):
    sharpened = sharpen(PREDICTION, temperature)
    torch.testing.assert_close(sharpened.sum(1), torch.ones(2, dtype=torch.float64))
    assert torch.equal(sharpened.argsort(1), PREDICTION.argsort(1))


def test_mixing_pairs_inputs_and_targets_alike():
    """Inputs that are their own targets still are."""
    targets = torch.rand(6, 3, generator=generator(), dtype=torch.float64).softmax(1)
    mixed = mix((Part(targets[:4], targets[:4]), Part(targets[4:], targets[4:])), torch.tensor(0.7), generator(1))
    torch.testing.assert_close(mixed.inputs, mixed.targets)
    partners = (mixed.inputs - 0.7 * targets) / 0.3
    torch.testing.assert_close(partners.sort(dim=0).values, targets.sort(dim=0).values, rtol=0, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 4.0])
def test_mixing_coefficients_follow_their_distribution(alpha):
    """E max(l, 1 - l) is half of 1 + E |2 l - 1|, which of Beta(a, a) is 4^(1-a) / (2 a B(a, a))."""
    one = generator()
    drawn = torch.stack([mixup_coefficient(alpha, one) for _ in range(4000)]).double()
    beta = torch.special.gammaln(torch.tensor(alpha)).mul(2).sub(torch.special.gammaln(torch.tensor(2 * alpha))).exp()
    expected = 0.5 + 0.5 * 4 ** (1 - alpha) / (2 * alpha * beta)
    assert drawn.min() >= 0.5
    assert drawn.max() <= 1
    assert drawn.mean().item() == pytest.approx(expected.item(), abs=0.01)


@pytest.mark.parametrize(
    "options",
    [
        {"warm_up": 1.1},
        {"ramp": -0.1},
        {"threshold": 2.0},
        {"temperature": 0.0},
        {"alpha": 0.4},
        {"batch_share": 0.0},
        {"loss_epochs": 0},
        {"mixture_steps": 0},
        {"unlabelled_weight": -1.0},
        {"clip_norm": 0.0},
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(SuiteError, match=next(iter(options))):
        Options(**options)
