"""Paired comparisons against other formulas, and what is done where no test is possible."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from emlc.judging.paired import compared

SCORES = {
    "A": {"0": 90.0, "1": 92.0, "2": 91.0, "3": 93.0, "4": 90.5},
    "B": {"0": 89.0, "1": 91.5, "2": 90.5, "3": 91.5, "4": 90.0},
    "C": {"0": 91.0, "1": 88.0, "2": 93.0, "3": 92.5, "4": 88.0},
    "Clean only": {"0": 80.0, "1": 84.0, "2": 81.0, "3": 85.0, "4": 80.0},
}


def by_hand(values, reference):
    """Mean, interval and p of paired differences, from the quantile function of Student's t."""
    differences = np.subtract(list(values.values()), list(reference.values()))
    error = differences.std(ddof=1) / np.sqrt(len(differences))
    half = stats.t.isf(0.025, len(differences) - 1) * error
    p = 2 * stats.t.sf(abs(differences.mean() / error), len(differences) - 1)
    return differences.mean(), differences.mean() - half, differences.mean() + half, p


def stepped_up(values):
    """Benjamini and Hochberg from its definition: the least p_(j) m / j over j >= i."""
    order = np.argsort(values)
    ranked = [values[i] * len(values) / rank for rank, i in enumerate(order, start=1)]
    adjusted = np.minimum.accumulate(ranked[::-1])[::-1]
    return {int(i): min(1.0, float(p)) for i, p in zip(order, adjusted, strict=True)}


def test_numbers_against_another_formula():
    column = compared(SCORES, "Clean only")
    assert column.best == "A"
    assert [one.method for one in column.with_best] == ["B", "C", "Clean only"]
    raw = []
    for one in column.with_best:
        mean, low, high, p = by_hand(SCORES[one.method], SCORES["A"])
        found = one.difference
        assert (found.mean, found.low, found.high, found.p) == pytest.approx((mean, low, high, p))
        raw.append(p)
    for i, p in stepped_up(raw).items():
        assert column.with_best[i].p == pytest.approx(p)
    assert column.top == ("A", "C")
    assert [one.real for one in column.with_clean] == [True, True, True]


def test_only_seeds_that_both_completed_are_paired():
    scores = {"A": {"0": 90.0, "1": 92.0, "2": 99.0}, "B": {"0": 89.0, "1": 90.0, "7": 1.0}, "C": {"9": 50.0}}
    column = compared(scores)
    (one,) = column.with_best  # C shares no seed
    assert (one.method, one.difference.n, one.difference.mean) == ("B", 2, -1.5)
    assert column.with_clean == ()


def test_one_seed_allows_no_test_and_nothing_is_told_apart():
    column = compared({"A": {"0": 90.0}, "B": {"0": 10.0}})
    (one,) = column.with_best
    assert (one.p, one.difference.low, one.real) == (None, None, False)
    assert column.top == ("A", "B")


def test_equal_scores_are_no_difference():
    same = {str(seed): 50.0 + seed for seed in range(4)}
    column = compared({"A": same, "B": dict(same)})
    assert (column.best, column.with_best[0].p, column.top) == ("A", 1.0, ("A", "B"))


def test_a_constant_difference_is_real():
    one = {str(seed): 50.0 + seed for seed in range(4)}
    column = compared({"A": one, "B": {seed: value - 3 for seed, value in one.items()}})
    assert (column.with_best[0].p, column.top) == (0.0, ("A",))


def test_methods_without_a_finished_run_are_left_out():
    assert compared({"A": {}, "B": {}}) is None
    assert compared({"A": {}, "B": {"0": 1.0}}).top == ("B",)


@given(st.lists(st.lists(st.floats(0, 100), min_size=5, max_size=5), min_size=2, max_size=6))
def test_the_best_is_on_top_and_a_correction_never_makes_p_smaller(values):
    scores = {str(i): dict(zip("01234", row, strict=True)) for i, row in enumerate(values)}
    column = compared(scores)
    assert column.best in column.top
    for one in column.with_best:
        assert one.p >= one.difference.p - 1e-12
