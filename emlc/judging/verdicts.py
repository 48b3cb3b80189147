"""The verdict on one published cell, from the measured cell of the same method, dataset and noise.

How a verdict is made is written in `RULE`, which the reader of a comparison gets as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from emlc.judging.cells import Cell
from emlc.judging.provenance import Defect
from emlc.judging.recipes import Difference
from emlc.judging.scope import INFERRED
from emlc.judging.statistics import DifferenceTest, Sample, difference_test

REPRODUCED, DEVIATES, NOT_COMPARABLE, NOT_RUN = "reproduced", "deviates", "not comparable", "not run"
VERDICTS = (REPRODUCED, DEVIATES, NOT_COMPARABLE, NOT_RUN)
RECIPE, DATASET = "recipe", "dataset"
"""Why a number with a counterpart is not comparable, unless a defect is the reason."""
SIGNIFICANCE = 0.05
RULE = """\
The difference of means is measured - published, the tolerance is in accuracy points, the level of the tests is 5 %.

1. *reproduced (equivalent)*: two one-sided tests show that the true difference is smaller than the tolerance.
2. *deviates (different)*: the difference exceeds the tolerance and the test of difference is significant.
3. Otherwise the tests cannot tell (few seeds, a wide spread) or none is possible (one seed, no standard deviation), and
   the tolerance decides alone: up to it *reproduced (tolerance only)*, beyond it *deviates (tolerance only)*. A test
   that merely fails to reject never makes a cell *reproduced*, and a wide spread excuses no difference.

Where both sides give mean, standard deviation and at least two seeds the tests are Welch's; where only the measured
side does, the published number is taken for exact and they are one-sample tests. *not comparable*: the method and noise
were measured on another dataset (its number stands beside, without a difference), the published number is not what its
column says, or the run followed another recipe than that number came from (what is not known of either is held against
none). *not run*: the cell has no finished run. A known defect of a published number is always named."""


@dataclass(frozen=True)
class Judgement:
    """The verdict on one published cell.

    Attributes
    ----------
    verdict : str
        One of `VERDICTS`.
    reason : str
        The evidence of `reproduced` and `deviates` (``equivalent``, ``different``, ``tolerance only``). For `not
        comparable` ``dataset``, ``recipe`` or a defect's name, for `not run` ``failed``, ``no finished run`` or ``no
        such cell``.
    why : str
        The same in a sentence, with the numbers.
    difference : float or None
        Measured - published, in accuracy points, where both are on the same dataset.
    test : DifferenceTest or None
        None where no test is possible.
    """

    verdict: str
    reason: str
    why: str
    difference: float | None = None
    test: DifferenceTest | None = None


def judge(
    published: Cell,
    measured: Cell,
    tolerance: float,
    defect: Defect | None = None,
    differences: Sequence[Difference] = (),
) -> Judgement:
    """Judge a measured cell against the published cell of the same method, dataset and noise.

    Parameters
    ----------
    published, measured : Cell
        Both with a mean.
    tolerance : float
        Largest difference of means that counts as reproduced, in accuracy points.
    defect : Defect or None
        What is known to be wrong with the published number; the sentence always names it.
    differences : sequence of Difference
        Where the measured runs followed another recipe than the published number came from.

    Raises
    ------
    ValueError
        If a mean is missing.
    """
    if published.mean is None or measured.mean is None:
        raise ValueError("a verdict needs a published and a measured mean")
    # To 9 decimals: 92.8 - 91.8 is one point, not a rounding error more.
    difference = round(measured.mean - published.mean, 9)
    theirs = Sample(published.mean, published.std, published.n_seeds)
    test = difference_test(Sample(measured.mean, measured.std, measured.n_seeds), theirs, tolerance)
    caveats = _caveats(measured, defect)
    if defect is not None and not defect.comparable:
        why = f"{_points(difference)}, but the published number is not what its column says{caveats}"
        return Judgement(NOT_COMPARABLE, defect.name, why, difference, test)
    if differences:
        others = ", ".join(map(str, differences))
        why = f"{_points(difference)}, but by another recipe than the published number: {others}{caveats}"
        return Judgement(NOT_COMPARABLE, RECIPE, why, difference, test)
    verdict, reason = _verdict(difference, test, tolerance)
    return Judgement(verdict, reason, _why(difference, test, tolerance, measured) + caveats, difference, test)


def judge_unmatched(cells: Sequence[Cell], defect: Defect | None = None) -> Judgement:
    """Judge a published cell whose own cell was not measured, from the cells that stand beside it.

    Parameters
    ----------
    cells : sequence of Cell
        The published cell's own without a mean, or those of its method and noise on other datasets, or none.
    defect : Defect or None
        What is known to be wrong with the published number.
    """
    finished = [cell for cell in cells if cell.mean is not None]
    if finished:
        datasets = " and ".join(dict.fromkeys(cell.dataset for cell in finished))
        why = f"measured on {datasets} only" + "".join(dict.fromkeys(_caveats(cell, defect) for cell in finished))
        return Judgement(NOT_COMPARABLE, DATASET, why)
    if not cells:
        return Judgement(NOT_RUN, "no such cell", "the result has no such cell")
    if any(_failed(cell) for cell in cells):
        return Judgement(NOT_RUN, "failed", "its runs failed")
    return Judgement(NOT_RUN, "no finished run", "no run of the cell has finished")


def _verdict(difference: float, test: DifferenceTest | None, tolerance: float) -> tuple[str, str]:
    inside = abs(difference) <= tolerance
    if test is not None and test.p_equivalence < SIGNIFICANCE:
        return REPRODUCED, "equivalent"
    if test is not None and test.p_difference < SIGNIFICANCE and not inside:
        return DEVIATES, "different"
    return (REPRODUCED if inside else DEVIATES), "tolerance only"


def _why(difference: float, test: DifferenceTest | None, tolerance: float, measured: Cell) -> str:
    """Say where the difference lies and what the tests can tell about it."""
    inside = abs(difference) <= tolerance
    text = f"{_points(difference)}, {'within' if inside else 'beyond'} the tolerance of {tolerance:g}"
    if test is None:
        return f"{text}; no test possible ({_missing(measured)})"
    different, equivalent = test.p_difference < SIGNIFICANCE, test.p_equivalence < SIGNIFICANCE
    if not inside:
        found, p_value = "significant" if different else "not significant", test.p_difference
    else:
        found, p_value = "equivalent" if equivalent else "equivalence not shown", test.p_equivalence
    text += f"; {found} ({test.name}, {_p(p_value)})"
    if inside and different:
        text += f"; the difference itself is significant ({_p(test.p_difference)})"
    return text if different or equivalent else f"{text}: more seeds would tell"


def _missing(measured: Cell) -> str:
    if measured.n_seeds == 1:
        return "one seed"
    return "no standard deviation" if measured.std is None else "number of seeds not given"


def _caveats(measured: Cell, defect: Defect | None) -> str:
    inferred = " (inferred)" if defect is not None and defect.evidence == INFERRED else ""
    known = "" if defect is None else f"; known defect of the published number: {', '.join(defect.names)}{inferred}"
    return known + (f"; status of the measured cell: {measured.status}" if _failed(measured) else "")


def _failed(cell: Cell) -> bool:
    return "fail" in cell.status.casefold()


def _points(difference: float) -> str:
    return f"{abs(difference):.4g} points {'below' if difference < 0 else 'above'}" if difference else "no difference"


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
