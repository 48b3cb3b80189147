"""Tests of means and rankings against values from printed tables of the t distribution and hand counts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from emlc.judging.statistics import PairedDifference, Sample, difference_test, kendall_tau, paired_difference

means = st.floats(0, 100)
spreads = st.tuples(st.floats(0.01, 20), st.integers(2, 10))


def test_welch_at_the_tabulated_critical_values():
    # Equal spreads: standard error 0.5, 14 degrees of freedom; the 5 % points are 2.1448 two-sided, 1.7613 one-sided.
    reference = Sample(90.0, 1.0, 8)
    test = difference_test(Sample(90.0 + 0.5 * 2.1448, 1.0, 8), reference, 1.0)
    assert test.name == "Welch"
    assert test.p_difference == pytest.approx(0.05, abs=1e-5)
    test = difference_test(Sample(90.2, 1.0, 8), reference, 0.2 + 0.5 * 1.7613)
    assert test.p_equivalence == pytest.approx(0.05, abs=1e-5)
    test = difference_test(Sample(89.8, 1.0, 8), reference, 0.2 + 0.5 * 1.7613)
    assert test.p_equivalence == pytest.approx(0.05, abs=1e-5)


@pytest.mark.parametrize("reference", [Sample(90.0), Sample(90.0, 1e-200, 3)])
def test_a_spread_too_small_to_square_counts_as_none(reference):
    tiny = difference_test(Sample(91.0, 5e-324, 4), reference, 0.5)
    assert (tiny.p_difference, tiny.p_equivalence) == (0.0, 1.0)


def test_unequal_spreads_use_welchs_degrees_of_freedom():
    # Variances of the means 1 and 3: df = 16 / (1/2 + 9/4) = 5.818, between the tabulated t(5) and t(6) at t = 2.5.
    test = difference_test(Sample(55.0, math.sqrt(3), 3), Sample(50.0, math.sqrt(15), 5), 1.0)
    assert 0.0465 < test.p_difference < 0.0546
    assert test.p_difference == pytest.approx(0.0478, abs=2e-4)


def test_one_sample_where_the_reference_has_no_spread():
    # Standard error 1, 4 degrees of freedom: 2.7764 two-sided, 2.1318 one-sided.
    for reference in (Sample(50.0), Sample(50.0, 0.3, 1), Sample(50.0, None, 5)):
        test = difference_test(Sample(50.0 - 2.7764, math.sqrt(5), 5), reference, 2.7764 + 2.1318)
        assert test.name == "one-sample"
        assert test.p_difference == pytest.approx(0.05, abs=1e-5)
        assert test.p_equivalence == pytest.approx(0.05, abs=1e-5)


@pytest.mark.parametrize("measured", [Sample(90.0), Sample(90.0, 0.0, 1), Sample(90.0, 0.5), Sample(90.0, None, 5)])
def test_no_test_without_a_spread_of_the_measured_side(measured):
    assert difference_test(measured, Sample(90.0, 0.5, 5), 1.0) is None


@pytest.mark.parametrize("reference", [Sample(90.0, 0.0, 5), Sample(90.0)])
@pytest.mark.parametrize(
    ("mean", "difference", "equivalence"), [(90.0, 1, 0), (90.5, 0, 0), (91.0, 0, 0.5), (92.0, 0, 1), (88.0, 0, 1)]
)
def test_zero_standard_error_gives_the_limits(reference, mean, difference, equivalence):
    test = difference_test(Sample(mean, 0.0, 3), reference, 1.0)
    assert (test.p_difference, test.p_equivalence) == (difference, equivalence)


@given(means, means, spreads, spreads, st.floats(0, 20))
def test_sides_can_be_swapped_and_equivalence_needs_a_small_difference(first, second, own, other, margin):
    one, two = Sample(first, *own), Sample(second, *other)
    test, swapped = difference_test(one, two, margin), difference_test(two, one, margin)
    assert test.p_difference == pytest.approx(swapped.p_difference)
    assert test.p_equivalence == pytest.approx(swapped.p_equivalence)
    if test.p_equivalence < 0.5:
        assert abs(first - second) < margin


def test_kendall_by_counting_pairs():
    assert kendall_tau([1, 2, 3, 4], [10, 20, 40, 30])[0] == pytest.approx((5 - 1) / 6)
    assert kendall_tau([1, 2, 3], [3, 2, 1])[0] == -1
    # Two concordant pairs of three, one of them tied on one side only: 2 / sqrt((3 - 1) * 3).
    assert kendall_tau([1, 1, 2], [1, 2, 3])[0] == pytest.approx(2 / math.sqrt(6))
    # Exact p-value of a perfect order of three: 2 of 3! orders are as extreme.
    assert kendall_tau([1, 2, 3], [1, 2, 3])[1] == pytest.approx(2 / 6)


@pytest.mark.parametrize(
    ("first", "second"), [([], []), ([1.0], [2.0]), ([1.0, 1.0], [1.0, 2.0]), ([1.0, 2.0], [3.0, 3.0])]
)
def test_kendall_is_undefined_without_an_order(first, second):
    assert kendall_tau(first, second) is None


def test_paired_differences_by_scipy_and_by_hand():
    values, reference = [81.0, 79.0, 90.0, 85.0], [80.0, 80.0, 84.0, 83.0]
    found = paired_difference(values, reference)
    assert (found.mean, found.n) == (2.0, 4)  # 1, -1, 6, 2
    expected = stats.ttest_rel(values, reference)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p == pytest.approx(expected.pvalue)


def test_paired_differences_of_few_pairs():
    assert paired_difference([], []) is None
    assert paired_difference([3.0], [1.0]) == PairedDifference(2.0, None, None, None, 1)
    assert paired_difference([3.0, 4.0], [1.0, 2.0]) == PairedDifference(2.0, 2.0, 2.0, 0.0, 2)
    with pytest.raises(ValueError):
        paired_difference([1.0], [1.0, 2.0])
