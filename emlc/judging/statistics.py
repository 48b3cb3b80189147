"""Tests on summary statistics: is a measured mean different from a published one, is it equivalent, do rankings agree.

Thin wrappers around :mod:`scipy.stats` that say which test the summary statistics at hand allow.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Sample:
    """Summary of repeated measurements.

    Attributes
    ----------
    mean : float
    std : float or None
        Sample standard deviation (n - 1 in the denominator); None if not reported.
    n : int or None
        Number of measurements; None if not reported.
    """

    mean: float
    std: float | None = None
    n: int | None = None

    @property
    def spread(self) -> tuple[float, int] | None:
        """Standard deviation and number of values; None unless both are known and there are at least two values."""
        return (self.std, self.n) if self.std is not None and self.n is not None and self.n >= 2 else None


@dataclass(frozen=True)
class DifferenceTest:
    """Two questions about one difference of means.

    Attributes
    ----------
    name : str
        ``Welch`` where both samples have a spread, ``one-sample`` where only the measured one has.
    p_difference : float
        Two-sided p-value of "the true means are equal".
    p_equivalence : float
        p-value of "the true means differ by at least the margin": the larger of two one-sided tests.
    """

    name: str
    p_difference: float
    p_equivalence: float


def difference_test(measured: Sample, reference: Sample, margin: float) -> DifferenceTest | None:
    """Test a measured mean against a reference mean for difference and for equivalence within a margin.

    Parameters
    ----------
    measured, reference : Sample
        A reference without a spread is taken for an exact number.
    margin : float
        Largest difference of means that counts as equivalent, in the samples' unit.

    Returns
    -------
    DifferenceTest or None
        None if the measured sample has no spread: then no test is possible.

    Notes
    -----
    Welch's t-test, and the two one-sided tests of Schuirmann (1987) with Welch's standard error. Where the standard
    error is zero the p-values are their limits, mostly 0 or 1.
    """
    if measured.spread is None:
        return None
    difference = measured.mean - reference.mean
    own, theirs = measured.spread, reference.spread
    return DifferenceTest(
        name="one-sample" if theirs is None else "Welch",
        p_difference=_p_value(difference, own, theirs, "two-sided"),
        p_equivalence=max(
            _p_value(difference + margin, own, theirs, "greater"), _p_value(difference - margin, own, theirs, "less")
        ),
    )


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> tuple[float, float] | None:
    """Return Kendall's tau-b of two score lists and its two-sided p-value.

    None where it is undefined: fewer than two pairs, or a list whose values are all equal.
    """
    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    result = stats.kendalltau(first, second, variant="b")
    return float(result.statistic), float(result.pvalue)


def _p_value(difference: float, own: tuple[float, int], theirs: tuple[float, int] | None, alternative: str) -> float:
    """p-value of "the true difference is zero" against `alternative` (scipy's words for it)."""
    std, n = own
    # A spread whose square is no floating-point number is as good as none.
    if sum(spread**2 / size for spread, size in (own, theirs or own)) == 0:
        return _limit(difference, alternative)
    if theirs is not None:
        test = stats.ttest_ind_from_stats(difference, std, n, 0.0, *theirs, equal_var=False, alternative=alternative)
        return float(test.pvalue)
    statistic = difference / (std / math.sqrt(n))
    tail = {"greater": statistic, "less": -statistic, "two-sided": abs(statistic)}[alternative]
    return float(stats.t.sf(tail, n - 1)) * (2 if alternative == "two-sided" else 1)


def _limit(difference: float, alternative: str) -> float:
    """p-value as the standard error goes to zero."""
    if alternative == "two-sided":
        return float(difference == 0)
    toward = difference if alternative == "greater" else -difference
    return 0.5 if toward == 0 else float(toward < 0)


@dataclass(frozen=True)
class PairedDifference:
    """Mean of paired differences with its 95 % confidence interval (Student's t).

    Attributes
    ----------
    mean : float
    low, high : float or None
        None for fewer than two pairs.
    p : float or None
        Two-sided p-value of "the true mean is zero"; None for fewer than two pairs.
    n : int
        Number of pairs.
    """

    mean: float
    low: float | None
    high: float | None
    p: float | None
    n: int


def paired_difference(values: Sequence[float], reference: Sequence[float]) -> PairedDifference | None:
    """Summarise ``values - reference``, pair by pair; None without pairs.

    Raises
    ------
    ValueError
        If the two differ in length.
    """
    differences = [value - other for value, other in zip(values, reference, strict=True)]
    n = len(differences)
    if n == 0:
        return None
    mean = math.fsum(differences) / n
    if n == 1:
        return PairedDifference(mean, None, None, None, n)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in differences) / (n - 1))
    half = float(stats.t.ppf(0.975, n - 1)) * std / math.sqrt(n)
    return PairedDifference(mean, mean - half, mean + half, _p_value(mean, (std, n), None, "two-sided"), n)
