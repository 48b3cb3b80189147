import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from emlc.noise.part_dependent import flip_probabilities, part_dependent, softmax_without


def pictures(count, num_classes, seed=0, side=4):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, side, side, 1), np.uint8), rng.integers(0, num_classes, count)


def by_hand(images, labels, num_classes, rate, seed):
    """One image at a time, from the equations; the same random numbers in the same order."""
    hit, projections = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2))
    flips = flip_probabilities(len(labels), rate, hit)
    size = math.prod(images.shape[1:])
    weights = [projections.standard_normal((size, num_classes)) for _ in range(num_classes)]
    rows = []
    for image, label, flip in zip(images, labels.tolist(), flips.tolist(), strict=True):
        scores = [float(image.ravel().astype(float) @ weights[label][:, other]) for other in range(num_classes)]
        top = max(score for other, score in enumerate(scores) if other != label)
        powers = [0 if other == label else math.exp(score - top) for other, score in enumerate(scores)]
        rows.append([1 - flip if c == label else flip * powers[c] / sum(powers) for c in range(num_classes)])
    return np.array(rows)


@settings(max_examples=30, deadline=None)
@given(num_classes=st.integers(2, 6), rate=st.floats(0, 1), seed=st.integers(0, 2**63 - 1), faint=st.booleans())
def test_probabilities_are_the_equations(num_classes, rate, seed, faint):
    images, labels = pictures(20, num_classes)
    images = images // 250 if faint else images  # with faint pixels the softmax is soft
    found = part_dependent(images, labels, num_classes, rate, seed)
    np.testing.assert_allclose(found, by_hand(images, labels, num_classes, rate, seed), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found >= 0).all()


def test_an_image_has_one_wrong_class():
    """Pixels from 0 to 255 make the softmax hard (mean top probability above 0.999 on real images of 784 pixels)."""
    images, labels = pictures(500, 10, side=28)
    found = part_dependent(images, labels, 10, 0.4, 1)
    wrong = found.copy()
    wrong[np.arange(500), labels] = 0
    assert (wrong.max(axis=1) / wrong.sum(axis=1)).mean() > 0.999


def test_the_wrong_class_depends_on_the_image_and_on_the_true_class_only():
    images, labels = pictures(60, 5)
    images[30:], labels[30:] = images[:30], labels[:30]
    images[1::30], labels[1::30] = images[0], (labels[0] + 1) % 5
    found = part_dependent(images, labels, 5, 0.5, 3)
    wrong = found.copy()
    wrong[np.arange(60), labels] = -1
    targets = wrong.argmax(axis=1)
    np.testing.assert_array_equal(targets[:30], targets[30:])
    order = np.random.default_rng(0).permutation(60)
    again = part_dependent(images[order], labels[order], 5, 0.5, 3)
    again[np.arange(60), labels[order]] = -1
    np.testing.assert_array_equal(again.argmax(axis=1), targets[order])


@pytest.mark.parametrize(("rate", "mean"), [(0.1, 0.129), (0.2, 0.206), (0.3, 0.300), (0.385, 0.385), (0.6, 0.600)])
def test_flip_probabilities_are_a_cut_normal_distribution(rate, mean):
    drawn = flip_probabilities(50_000, rate, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(mean, abs=0.0025)  # 5 standard errors
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    cut = stats.truncnorm(-rate / 0.1, (1 - rate) / 0.1, loc=rate, scale=0.1)
    assert stats.kstest(drawn, cut.cdf).pvalue > 1e-3


@pytest.mark.parametrize("rate", [0, 1])
def test_the_ends_of_the_rate_leave_half_of_the_bell(rate):
    drawn = flip_probabilities(10_000, rate, np.random.default_rng(0))
    assert np.abs(drawn - rate).mean() == pytest.approx(0.1 * math.sqrt(2 / math.pi), abs=0.004)


def test_softmax_without_a_class():
    logits = np.array([[1e4, 0.0, math.log(3)], [-1e4, 0.0, 0.0]])
    np.testing.assert_allclose(softmax_without(logits, 0), [[0, 0.25, 0.75], [0, 0.5, 0.5]])
    assert logits[0, 0] == 1e4  # the caller's own stay as they are
