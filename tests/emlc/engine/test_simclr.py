"""SimCLR: the loss against its definition, the schedule's values."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from emlc.engine.simclr import Recipe, learning_rate, nt_xent
from emlc.records.errors import SuiteError

TINY = Recipe(
    model={"name": "cnn-small", "width": 4},
    flips=False,
    mean=(0.5,),
    std=(0.25,),
    epochs=2,
    batch_size=16,
    lr=0.05,
    warm_up_epochs=0,
)


def unit_vectors(count, dim, seed=0):
    vectors = torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(vectors, dim=1)


def by_hand(z1, z2, temperature):
    """The loss, anchor by anchor."""
    n, views = len(z1), [*z1, *z2]
    total = 0.0
    for a, anchor in enumerate(views):
        partner = views[a + n if a < n else a - n]
        others = sum(math.exp(float(anchor @ other) / temperature) for b, other in enumerate(views) if b != a)
        total -= math.log(math.exp(float(anchor @ partner) / temperature) / others)
    return temperature / 0.07 * total / (2 * n)


@pytest.mark.parametrize("temperature", [0.07, 0.5, 2.0])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_loss_is_its_definition(count, temperature):
    z1, z2 = unit_vectors(2 * count, 7).split(count)
    assert nt_xent(z1, z2, temperature).item() == pytest.approx(by_hand(z1, z2, temperature), rel=1e-12, abs=1e-12)


def test_loss_of_random_features_is_that_of_a_guess():
    z1, z2 = unit_vectors(1024, 128).split(512)
    assert nt_xent(z1, z2, 0.5).item() == pytest.approx(0.5 / 0.07 * math.log(2 * 512 - 1), abs=0.3)


def test_loss_of_perfect_features():
    z = torch.eye(6, dtype=torch.float64)
    expected = 0.5 / 0.07 * math.log(1 + 10 * math.exp(-1 / 0.5))
    assert nt_xent(z, z, 0.5).item() == pytest.approx(expected, rel=1e-12)


def test_loss_gradient():
    z1, z2 = (z.clone().requires_grad_() for z in unit_vectors(8, 5).split(4))
    assert torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, 0.5), (z1, z2))


def test_loss_does_not_overflow():
    z = F.normalize(torch.ones(4, 3), dim=1)
    assert nt_xent(z, z, 1e-3).item() == pytest.approx(1e-3 / 0.07 * math.log(7), rel=1e-5)


FULL = replace(TINY, epochs=1000, lr=0.5, warm_up_epochs=10)


def cosine(epoch, lr=0.5, epochs=1000):
    return lr / 1000 + (lr - lr / 1000) * (1 + math.cos(math.pi * epoch / epochs)) / 2


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, 0.01),
        (1, 0.01 + (cosine(10) - 0.01) / 490),
        (245, (0.01 + cosine(10)) / 2),
        (489, 0.01 + (cosine(10) - 0.01) * 489 / 490),
        (490, cosine(11)),
        (538, cosine(11)),
        (539, cosine(12)),
        (499 * 49, 0.5 * (0.5 + 0.0005)),
        (1000 * 49 - 1, 0.0005),
    ],
)
def test_learning_rate_of_the_readme_command(step, expected):
    """1,000 epochs of 49 steps; the values follow util.py of HobbitLong/SupContrast."""
    assert learning_rate(FULL, step, 49) == pytest.approx(expected, rel=1e-12)


def test_learning_rate_without_warm_up_starts_on_the_cosine():
    assert learning_rate(replace(FULL, warm_up_epochs=0), 0, 49) == pytest.approx(cosine(1), rel=1e-12)


def test_a_warm_up_longer_than_the_run_is_refused():
    with pytest.raises(SuiteError, match=r"warm_up_epochs is 10, more than the 2 epochs"):
        replace(TINY, warm_up_epochs=10)
