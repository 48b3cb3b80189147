import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emlc.noise.instances import INSTANCE_KINDS, corrupt_images, drawn
from emlc.noise.margins import margin_noise
from emlc.records.errors import SuiteError
from tests.emlc.noise.test_margins import pictures


def test_the_kinds():
    assert INSTANCE_KINDS == ("idn-part-dependent", "pmd-type1", "pmd-type2", "pmd-type3")


@pytest.mark.parametrize("kind", INSTANCE_KINDS)
def test_the_drawn_rate_is_the_one_asked_for(kind):
    images, labels = pictures(4000)
    noisy = corrupt_images(kind, images, labels, 4, 0.385, 7)
    assert noisy.dtype == np.int64
    assert np.mean(noisy != labels) == pytest.approx(0.385, abs=0.03)  # 4 standard errors
    assert set(np.unique(noisy)) <= set(range(4))


@pytest.mark.parametrize("kind", INSTANCE_KINDS)
def test_the_seed_decides(kind):
    images, labels = pictures()
    first, again, other = (corrupt_images(kind, images, labels, 4, 0.4, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_labels_follow_their_probabilities():
    probabilities = margin_noise("pmd-type3", *pictures(60), 4, 0.4)
    counts = np.zeros((60, 4))
    for seed in range(4000):
        counts[np.arange(60), drawn(probabilities, seed)] += 1
    error = np.sqrt(probabilities * (1 - probabilities) / 4000)
    assert (np.abs(counts / 4000 - probabilities) <= 5 * error + 1e-9).all()


ROWS = st.lists(st.sampled_from([0.0, 1e-300, 0.25, 1.0]), min_size=3, max_size=3).filter(any)


@settings(max_examples=100, deadline=None)
@given(st.lists(ROWS, min_size=1), st.integers(0, 2**63 - 1))
def test_nothing_impossible_is_drawn(rows, seed):
    probabilities = np.array(rows)
    found = drawn(probabilities, seed)
    assert (probabilities[np.arange(len(found)), found] > 0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "pmd"}, "unknown noise kind 'pmd'; known: idn-part-dependent, pmd-type1"),
        ({"rate": 1.5}, "noise rate 1.5"),
        ({"num_classes": 1}, "at least 2 classes"),
        ({"num_classes": 3}, "label 3 at position"),
        ({"images": np.zeros((3, 1, 1, 1), np.uint8)}, "3 images for 300 labels"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(changes, message):
    images, labels = pictures()
    values = {"kind": "idn-part-dependent", "images": images, "num_classes": 4, "rate": 0.4, **changes}
    with pytest.raises(SuiteError, match=message) as refusal:
        corrupt_images(labels=labels, seed=0, **values)
    assert "\n" not in str(refusal.value)
