import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import logsumexp

from emlc.noise.margins import KEEPS, WEIGHT_DECAY, contest_of, factor_for, first_share, margin_noise, posterior
from emlc.records.errors import SuiteError


def pictures(count=300, num_classes=4, spread=60, seed=0):
    """Grey images of 3x3 pixels around a mean of their class's own: close enough for a classifier to err."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, count)
    means = rng.integers(60, 196, (num_classes, 3, 3, 1))
    return np.clip(means[labels] + rng.normal(0, spread, (count, 3, 3, 1)), 0, 255).astype(np.uint8), labels


TAU = {
    "pmd-type1": lambda margin: -(margin**2) / 2 + 1 / 2,
    "pmd-type2": lambda margin: 1 - abs(margin) ** 3,
    "pmd-type3": lambda margin: 1 - (abs(margin) ** 3 + abs(margin) ** 2 + abs(margin)) / 3,
}
"""tau of the margin, Zhang et al., section 4."""


def wrong_share(probabilities, labels):
    return 1 - probabilities[np.arange(len(labels)), labels].mean()


def test_the_contest_is_between_the_two_most_probable_classes():
    contest = contest_of(np.array([[0.1, 0.6, 0.3], [0.5, 0.0, 0.5], [0.2, 0.2, 0.6]]))
    assert contest.first.tolist() == [1, 0, 2]
    assert contest.second.tolist() == [2, 2, 0]
    np.testing.assert_allclose(contest.margin, [0.3, 0, 0.4])


@pytest.mark.parametrize("kind", KEEPS)
@pytest.mark.parametrize("factor", [0.5, 1.0, 1.43, 3.4])
def test_the_first_class_stays_as_the_equations_say(kind, factor):
    margins = np.linspace(0, 1, 11)
    keep = np.polynomial.polynomial.polyval(margins, KEEPS[kind])
    expected = [min((1 - TAU[kind](margin)) / factor, 1) for margin in margins.tolist()]
    np.testing.assert_allclose(first_share(keep, factor), expected, rtol=1e-12, atol=1e-15)


@settings(max_examples=20, deadline=None)
@given(kind=st.sampled_from(sorted(KEEPS)), rate=st.floats(0.45, 0.6), seed=st.integers(0, 99))
def test_the_expected_rate_is_the_one_asked_for(kind, rate, seed):
    images, labels = pictures(seed=seed)
    found = margin_noise(kind, images, labels, 4, rate)
    assert wrong_share(found, labels) == pytest.approx(rate, abs=1e-9)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found >= 0).all()
    assert ((found > 0).sum(axis=1) <= 2).all()


@pytest.mark.parametrize("kind", KEEPS)
def test_probabilities_image_by_image(kind):
    images, labels = pictures()
    eta = posterior(images, labels, 4)
    found = margin_noise(kind, images, labels, 4, 0.4)
    contest = contest_of(eta)
    keep = np.array([1 - TAU[kind](margin) for margin in contest.margin.tolist()])
    factor = factor_for(kind, contest, keep, labels, 0.4)
    for row, probabilities in zip(found, eta, strict=True):
        second, first = np.argsort(probabilities)[-2:]
        share = min((1 - TAU[kind](probabilities[first] - probabilities[second])) / factor, 1)
        expected = np.zeros(4)
        expected[first], expected[second] = share, 1 - share
        np.testing.assert_allclose(row, expected, atol=1e-12)


def test_close_images_are_noisier():
    images, labels = pictures(2000)
    contest = contest_of(posterior(images, labels, 4))
    close = contest.margin < np.median(contest.margin)
    for kind in KEEPS:
        kept = margin_noise(kind, images, labels, 4, 0.4)[np.arange(2000), contest.first]
        assert kept[close].mean() < kept[~close].mean() - 0.1
        assert (np.diff(kept[np.argsort(contest.margin)]) >= -1e-12).all()


def test_the_posterior_is_the_regression_that_its_loss_says():
    """Held against another solver of the written loss, in float64."""
    images, labels = pictures(120, 3)
    pixels = images.reshape(120, -1) / 255
    truth = np.eye(3)[labels]

    def loss(flat):
        weights, bias = flat[:27].reshape(9, 3), flat[27:]
        logits = pixels @ weights + bias
        logs = logits - logsumexp(logits, axis=1, keepdims=True)
        gradient = (np.exp(logs) - truth) / 120
        slope = np.concatenate([(pixels.T @ gradient + WEIGHT_DECAY * weights).ravel(), gradient.sum(axis=0)])
        return -(truth * logs).sum(axis=1).mean() + WEIGHT_DECAY / 2 * (weights**2).sum(), slope

    best = minimize(loss, np.zeros(30), jac=True, method="BFGS", options={"gtol": 1e-9}).x
    logits = pixels @ best[:27].reshape(9, 3) + best[27:]
    expected = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
    np.testing.assert_allclose(posterior(images, labels, 3), expected, atol=1e-6)


def test_a_class_without_images_has_no_probability():
    images, labels = pictures(100, 3)
    eta = posterior(images, labels + (labels > 0), 4)
    assert (eta[:, 1] == 0).all()
    np.testing.assert_allclose(eta[:, [0, 2, 3]], posterior(images, labels, 3))


def test_images_of_one_class_have_no_margin():
    images, labels = pictures(20)
    with pytest.raises(SuiteError, match="at least 2 classes"):
        posterior(images, np.zeros_like(labels), 4)


@pytest.mark.parametrize("rate", [0, 0.01, 1])
def test_a_rate_out_of_reach_is_refused_with_what_can_be_had(rate):
    images, labels = pictures()
    eta = posterior(images, labels, 4)
    ranked = np.argsort(eta, axis=1)
    low, high = (np.mean(ranked[:, -place] != labels) for place in (1, 2))
    with pytest.raises(SuiteError, match=f"cannot have rate {rate}.*go from {low:.4f} to {high:.4f}"):
        margin_noise("pmd-type2", images, labels, 4, rate)
