import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emlc.noise import class_maps
from emlc.noise.matrices import (
    KINDS,
    SAMPLERS,
    corrupt,
    corrupt_exact_count,
    expected_wrong_rate,
    is_diagonally_dominant,
    replacement_matrix,
    transition_matrix,
)
from emlc.records.errors import SuiteError

FALSE_ALARM = 1e-9

FLIP_CIFAR10 = [6, 9, 6, 0, 0, 1, 8, 6, 2, 4]
FLIP_CIFAR100 = [
    *(38, 13, 73, 10, 76, 6, 80, 65, 17, 1, 77, 72, 6, 26, 51, 21, 19, 85, 11, 29),
    *(30, 14, 51, 69, 88, 88, 95, 97, 87, 13, 9, 7, 64, 62, 22, 58, 1, 0, 61, 82),
    *(8, 89, 13, 48, 73, 30, 72, 3, 71, 21, 49, 58, 3, 69, 24, 43, 77, 26, 52, 81),
    *(41, 83, 15, 65, 69, 25, 99, 88, 7, 26, 25, 22, 9, 67, 23, 27, 37, 57, 84, 38),
    *(8, 32, 34, 10, 23, 15, 88, 25, 71, 93, 74, 62, 46, 32, 88, 23, 55, 65, 77, 3),
]
GOLDEN_PER_LABEL = [0, 1, 6, 3, 1, 5, 6, 3, 8, 2, 0, 1, 2, 3, 4, 9, 5, 7, 8, 5]
GOLDEN_EXACT = [0, 6, 2, 3, 4, 8, 6, 7, 5, 9, 1, 8, 8, 7, 4, 4, 6, 2, 8, 9]


def hoeffding(count):
    """Distance from its mean that an average of `count` draws in [0, 1] exceeds with probability FALSE_ALARM."""
    return math.sqrt(math.log(2 / FALSE_ALARM) / (2 * count))


def wrong_rate_by_formula(kind, rate, num_classes, class_map, labels):
    if kind == "sym":
        return rate * (1 - 1 / num_classes)
    if kind == "asym":
        return rate * np.isin(labels, list(class_map)).mean()
    return rate


@st.composite
def noises(draw):
    num_classes = draw(st.integers(3, 30))
    classes = st.integers(0, num_classes - 1)
    sources = draw(st.sets(classes, min_size=1))
    class_map = {}
    for source in sorted(sources):
        targets = draw(st.sets(classes.filter(lambda label, source=source: label != source), min_size=1, max_size=3))
        class_map[source] = tuple(sorted(targets))
    kind = draw(st.sampled_from(KINDS))
    return kind, draw(st.floats(0, 1)), num_classes, class_map


@settings(max_examples=1000, deadline=None)
@given(noise=noises(), sampling=st.sampled_from(sorted(SAMPLERS)), seed=st.integers(0, 2**63 - 1))
def test_effective_rates_match_their_formulas(noise, sampling, seed):
    kind, rate, num_classes, class_map = noise
    labels = np.random.default_rng(seed ^ 1).integers(0, num_classes, 3000)
    matrix = transition_matrix(kind, rate, num_classes, class_map)
    assert matrix.dtype == np.float64
    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=0, atol=1e-12)

    expected = wrong_rate_by_formula(kind, rate, num_classes, class_map, labels)
    assert expected_wrong_rate(matrix, labels) == pytest.approx(expected, abs=1e-12)

    noisy = SAMPLERS[sampling](labels, replacement_matrix(kind, num_classes, class_map), rate, seed)
    assert noisy.dtype == np.int64
    # Exact counts round the number of hits down, by less than one label.
    assert abs(np.mean(noisy != labels) - expected) <= hoeffding(len(labels)) + 1 / len(labels)
    assert (matrix[labels, noisy] > 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sampling", SAMPLERS)
def test_frequencies_follow_the_matrix(kind, sampling):
    labels = np.repeat(np.arange(5), 60_000)
    class_map = {0: (1, 2), 3: (0,)}
    noisy = SAMPLERS[sampling](labels, replacement_matrix(kind, 5, class_map), 0.6, 11)
    counts = np.bincount(labels * 5 + noisy, minlength=25).reshape(5, 5)
    np.testing.assert_allclose(counts / 60_000, transition_matrix(kind, 0.6, 5, class_map), atol=hoeffding(60_000))


@settings(deadline=None)
@given(data=st.data(), num_classes=st.integers(1, 6), seed=st.integers(0, 2**63 - 1))
def test_no_label_of_probability_zero(data, num_classes, seed):
    weights = st.lists(st.sampled_from([0, 0, 1e-9, 1, 3]), min_size=num_classes, max_size=num_classes).filter(any)
    matrix = np.array([data.draw(weights) for _ in range(num_classes)], float)
    matrix /= matrix.sum(axis=1, keepdims=True)
    labels = np.arange(200) % num_classes
    assert (matrix[labels, corrupt(labels, matrix, seed)] > 0).all()


@pytest.mark.parametrize(("uniform", "expected"), [(0.0, [1, 0, 2]), (np.nextafter(1, 0), [1, 2, 2])])
def test_ends_of_the_unit_interval(monkeypatch, uniform, expected):
    class Fixed:
        def random(self, count):
            return np.full(count, uniform)

    monkeypatch.setattr(np.random, "default_rng", lambda seed: Fixed())
    matrix = [[0, 1, 0], [0.1, 0, 0.9 - 5e-7], [0, 0, 1]]  # the middle row stays below 1, as sums of floats may
    assert corrupt([0, 1, 2], matrix, 0).tolist() == expected


def test_seeds():
    labels = np.arange(2000) % 10
    matrix = transition_matrix("sym", 0.5, 10)
    first = corrupt(labels, matrix, 7)
    assert np.array_equal(first, corrupt(labels, matrix, 7))
    assert not np.array_equal(first, corrupt(labels, matrix, 8))
    exact = corrupt_exact_count(labels, replacement_matrix("sym", 10), 0.5, 7)
    assert np.array_equal(exact, corrupt_exact_count(labels, replacement_matrix("sym", 10), 0.5, 7))
    assert not np.array_equal(exact, corrupt_exact_count(labels, replacement_matrix("sym", 10), 0.5, 8))


def test_labels_are_the_same_on_every_machine():
    labels = np.arange(20) % 10
    noisy = corrupt(labels, transition_matrix("sym", 0.5, 10), 3)
    assert noisy.tolist() == GOLDEN_PER_LABEL
    assert corrupt_exact_count(labels, replacement_matrix("sym", 10), 0.5, 3).tolist() == GOLDEN_EXACT


def test_inputs_and_global_random_state_stay_as_they_are():
    labels = np.arange(50) % 10
    before = np.random.get_state()[1].copy()
    for kind in KINDS:
        for sampler in SAMPLERS.values():
            sampler(labels, replacement_matrix(kind, 10, class_maps.CIFAR10), 0.9, 0)
    assert np.array_equal(labels, np.arange(50) % 10)
    assert np.array_equal(np.random.get_state()[1], before)


def test_symmetric_includes_the_true_class():
    expected = [[0.4 if i == j else 0.2 for j in range(4)] for i in range(4)]
    np.testing.assert_allclose(transition_matrix("sym", 0.8, 4), expected)


def test_symmetric_exclusive():
    expected = [[0.4 if i == j else 0.2 for j in range(4)] for i in range(4)]
    np.testing.assert_allclose(transition_matrix("sym-exclusive", 0.6, 4), expected)


def test_asymmetric_matrix():
    matrix = transition_matrix("asym", 0.3, 4, {0: (1, 3), 2: (0,)})
    np.testing.assert_allclose(matrix, [[0.7, 0.15, 0, 0.15], [0, 1, 0, 0], [0.3, 0, 0.7, 0], [0, 0, 0, 1]])
    assert matrix[1, 1] == 1


@pytest.mark.parametrize("targets", [FLIP_CIFAR10, FLIP_CIFAR100])
def test_flip_map_of_the_public_loaders(targets):
    matrix = transition_matrix("flip", 0.4, len(targets))
    classes = np.arange(len(targets))
    expected = np.zeros_like(matrix)
    expected[classes, classes] = 0.6
    expected[classes, targets] = 0.4
    np.testing.assert_allclose(matrix, expected)


def test_flip2_map_of_the_public_loaders():
    pairs = [(9, 3), (4, 8), (1, 8), (8, 4), (2, 5), (7, 4), (9, 2), (8, 5), (6, 5), (5, 4)]
    matrix = transition_matrix("flip2", 0.4, 10)
    assert [tuple(np.flatnonzero(np.isclose(row, 0.2))) for row in matrix] == [tuple(sorted(pair)) for pair in pairs]
    np.testing.assert_allclose(np.diag(matrix), 0.6)


@pytest.mark.parametrize("rate", [0, 0.29, 0.999, 1])
def test_exact_count_hits_exactly_that_many(rate):
    labels = np.arange(1001) % 7
    noisy = corrupt_exact_count(labels, replacement_matrix("sym-exclusive", 7), rate, 5)
    assert np.count_nonzero(noisy != labels) == int(rate * 1001)


def test_cifar10_asymmetric_exact_count_is_half_its_name():
    labels = np.repeat(np.arange(10), 5000)
    noisy = corrupt_exact_count(labels, replacement_matrix("asym", 10, class_maps.CIFAR10), 0.4, 0)
    by_class = (noisy != labels).reshape(10, 5000).mean(axis=1)
    assert by_class.mean() == pytest.approx(0.2, abs=0.01)
    assert (by_class[[0, 1, 6, 7, 8]] == 0).all()
    np.testing.assert_allclose(by_class[[2, 3, 4, 5, 9]], 0.4, atol=hoeffding(5000))


@pytest.mark.parametrize(
    ("kind", "rate", "dominant"),
    [
        ("sym", 0.9, True),
        ("sym", 0.999, True),
        ("sym", 1, False),
        ("sym-exclusive", 0.89, True),
        ("sym-exclusive", 0.9, False),
        ("sym-exclusive", 0.91, False),
        ("asym", 0.49, True),
        ("asym", 0.5, False),
        ("flip", 0.4, True),
        ("flip", 0.6, False),
        ("flip2", 0.6, True),
        ("flip2", 2 / 3, False),
    ],
)
def test_diagonal_dominance(kind, rate, dominant):
    assert is_diagonally_dominant(transition_matrix(kind, rate, 10, class_maps.CIFAR10)) is dominant


def test_one_bad_row_breaks_dominance():
    assert not is_diagonally_dominant([[0.9, 0.1, 0], [0, 1, 0], [0.6, 0, 0.4]])


def test_expected_wrong_rate_weighs_classes_by_their_labels():
    matrix = [[1, 0], [0.4, 0.6]]
    assert expected_wrong_rate(matrix, [0, 0, 0, 1]) == pytest.approx(0.1)
    with pytest.raises(SuiteError, match="no labels"):
        expected_wrong_rate(matrix, np.array([], int))


def test_class_maps_of_ten_classes():
    assert dict(class_maps.MNIST) == {2: (7,), 3: (8,), 5: (6,), 6: (5,), 7: (1,)}
    assert dict(class_maps.CIFAR10) == {9: (1,), 2: (0,), 4: (7,), 3: (5,), 5: (3,)}
    assert {**class_maps.CIFAR10_MSLC, 5: (3,)} == class_maps.CIFAR10
    assert 5 not in class_maps.CIFAR10_MSLC


def test_class_maps_of_cifar100():
    groups = class_maps.groups_of(class_maps.CIFAR100_COARSE)
    assert len(groups) == 20
    assert {len(group) for group in groups} == {5}
    # Hash over "fine:coarse" would hide which entry is wrong; these rows are the published superclass table.
    assert groups[0] == (4, 30, 55, 72, 95)
    assert groups[1] == (1, 32, 67, 73, 91)
    assert groups[7] == (6, 7, 14, 18, 24)
    assert groups[14] == (2, 11, 35, 46, 98)
    assert groups[19] == (41, 69, 81, 85, 89)
    assert class_maps.CIFAR100_CYCLIC[4] == (30,)
    assert class_maps.CIFAR100_CYCLIC[95] == (4,)
    assert class_maps.CIFAR100_WITHIN[55] == (4, 30, 72, 95)
    assert class_maps.CIFAR100_BLOCKS[0] == (1,)
    assert class_maps.CIFAR100_BLOCKS[4] == (0,)
    assert class_maps.CIFAR100_BLOCKS[99] == (95,)
    for class_map in (class_maps.CIFAR100_CYCLIC, class_maps.CIFAR100_WITHIN, class_maps.CIFAR100_BLOCKS):
        assert sorted(class_map) == list(range(100))
        assert is_diagonally_dominant(transition_matrix("asym", 0.4, 100, class_map))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("uniform", 0.5, 10), r"unknown noise kind 'uniform'; known: sym, sym-exclusive, asym, flip, flip2"),
        (("sym", 1.5, 10), "1.5"),
        (("sym", -0.1, 10), "-0.1"),
        (("sym", math.nan, 10), "nan"),
        (("sym", "0.5", 10), "'0.5'"),
        (("sym", True, 10), "True"),
        (("sym", 0.5, 1), "at least 2 classes"),
        (("flip2", 0.5, 2), "at least 3 classes"),
        (("asym", 0.4, 10), "class map"),
        (("asym", 0.4, 10, {10: (1,)}), "10 is not a class"),
        (("asym", 0.4, 10, {1: (-1,)}), "-1 is not a class"),
        (("asym", 0.4, 10, {1: (2.0,)}), "2.0 is not a class"),
        (("asym", 0.4, 10, {"1": (2,)}), "'1' is not a class"),
        (("asym", 0.4, 10, {True: (2,)}), "True is not a class"),
        (("asym", 0.4, 10, {1: ()}), "at least one target"),
        (("asym", 0.4, 10, {1: "23"}), "at least one target"),
        (("asym", 0.4, 10, {1: 2}), "at least one target"),
        (("asym", 0.4, 10, {1: (1,)}), "equals the class itself"),
        (("asym", 0.4, 10, {1: (2, 2)}), "or another target"),
    ],
)
def test_bad_noise_is_refused_in_one_line(arguments, message):
    with pytest.raises(SuiteError, match=message) as refusal:
        transition_matrix(*arguments)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("labels", "matrix", "message"),
    [
        ([0, 1], [[1, 0]], "square"),
        ([0, 1], [1, 0], "square"),
        ([0, 1], np.zeros((0, 0)), "square"),
        ([0, 1], [[1, 0], [1]], "equal rows"),
        ([0, 1], [[1, 0], [0.5, 0.4]], "row 1"),
        ([0, 1], [[1.5, -0.5], [0, 1]], "row 0"),
        ([0, 1], [[1, 0], [math.nan, 1]], "row 1"),
        ([0, 1], [[math.inf, 0], [0, 1]], "row 0"),
        ([0, 2], np.eye(2), "label 2 at position 1"),
        ([-1, 0], np.eye(2), "label -1 at position 0"),
        ([0.0, 1.0], np.eye(2), "whole numbers"),
        ([[0, 1]], np.eye(2), "whole numbers"),
        ([True, False], np.eye(2), "whole numbers"),
    ],
)
def test_bad_matrices_and_labels_are_refused_in_one_line(labels, matrix, message):
    for attempt in (lambda: corrupt(labels, matrix, 0), lambda: corrupt_exact_count(labels, matrix, 0.5, 0)):
        with pytest.raises(SuiteError, match=message) as refusal:
            attempt()
        assert "\n" not in str(refusal.value)


def test_exact_count_refuses_a_bad_rate():
    with pytest.raises(SuiteError, match=r"1\.5"):
        corrupt_exact_count([0, 1], np.eye(2), 1.5, 0)
