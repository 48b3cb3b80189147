"""Each branch of the rule, with numbers that can be checked by hand."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emlc.judging.cells import Cell
from emlc.judging.provenance import Defect
from emlc.judging.verdicts import DEVIATES, NOT_COMPARABLE, NOT_RUN, REPRODUCED, judge, judge_unmatched

OWN = Cell("EMLC (k=1)", "CIFAR-10", "sym", 0.5, 90.0, 0.3, 5)
QUOTED = Cell("MLC", "CIFAR-10", "sym", 0.5, 90.0)


def measured(mean, std=None, n_seeds=None, status=""):
    return Cell("EMLC (k=1)", "CIFAR-10", "sym", 0.5, mean, std, n_seeds, status)


def flaw(comparable, evidence="verified"):
    return Defect("EMLC (k=1)", "CIFAR-10", "shifted-column", comparable, evidence, "It belongs elsewhere.")


@pytest.mark.parametrize(
    ("published", "own", "verdict", "reason", "words"),
    [
        # Standard error 0.19, 8 degrees of freedom: 0.8 below the tolerance is t = 4.2, far beyond 1.86.
        (
            OWN,
            measured(90.2, 0.3, 5),
            REPRODUCED,
            "equivalent",
            "0.2 points above, within .*; equivalent .Welch, p = 0.001",
        ),
        # Standard error 0.14: equivalent at t = 2.9, and 0.6 itself is t = 4.3.
        (OWN, measured(90.6, 0.1, 5), REPRODUCED, "equivalent", "equivalent .*the difference itself is significant"),
        # 2 points at standard error 0.19.
        (
            OWN,
            measured(88.0, 0.3, 5),
            DEVIATES,
            "different",
            "2 points below, beyond .*; significant .Welch, p < 0.001",
        ),
        # Standard error 1.4 with about one degree of freedom: no difference below 18 points would be significant.
        (
            OWN,
            measured(90.5, 2.0, 2),
            REPRODUCED,
            "tolerance only",
            "within .*equivalence not shown .*more seeds would tell",
        ),
        (OWN, measured(94.0, 2.0, 2), DEVIATES, "tolerance only", "beyond .*not significant .*more seeds would tell"),
        # Within the tolerance, t = 0.9 / 0.19 = 4.7: different, and 0.1 below the tolerance shows no equivalence.
        (
            OWN,
            measured(90.9, 0.3, 5),
            REPRODUCED,
            "tolerance only",
            "equivalence not shown .*difference itself is significant",
        ),
        # One-sample, standard error 0.1, 3 degrees of freedom: t = 5 against 2.35, and t = 20 against 3.18.
        (QUOTED, measured(90.5, 0.2, 4), REPRODUCED, "equivalent", "equivalent .one-sample"),
        (QUOTED, measured(92.0, 0.2, 4), DEVIATES, "different", "significant .one-sample, p < 0.001"),
        (OWN, measured(90.0, None, 1), REPRODUCED, "tolerance only", "no difference, .*no test possible .one seed"),
        (OWN, measured(92.0, 0.0, 1), DEVIATES, "tolerance only", "no test possible .one seed"),
        (OWN, measured(92.0), DEVIATES, "tolerance only", "no test possible .no standard deviation"),
        (OWN, measured(90.0, 0.5), REPRODUCED, "tolerance only", "no test possible .number of seeds not given"),
    ],
)
def test_each_branch_of_the_rule(published, own, verdict, reason, words):
    judgement = judge(published, own, 1.0)
    assert (judgement.verdict, judgement.reason) == (verdict, reason)
    assert judgement.difference == pytest.approx(own.mean - 90.0)
    assert re.search(words, judgement.why), judgement.why


def test_the_tolerance_itself_is_inside_in_decimal_numbers():
    published = Cell("MLC", "CIFAR-10", "sym", 0.5, 91.8)
    assert judge(published, measured(92.8), 1.0).verdict == REPRODUCED  # 92.8 - 91.8 is 1.0000000000000142 in binary
    assert judge(published, measured(92.81), 1.0).verdict == DEVIATES
    assert judge(published, measured(92.81), 1.01).verdict == REPRODUCED
    assert judge(published, measured(91.8), 0.0).verdict == REPRODUCED


@given(
    st.floats(0, 100),
    st.floats(0, 100),
    st.floats(0, 20),
    st.integers(1, 10),
    st.floats(0, 20),
    st.sampled_from([OWN, QUOTED]),
)
def test_no_spread_excuses_a_difference_and_no_test_denies_an_agreement(mean, own, std, seeds, tolerance, kind):
    published = Cell(kind.method, kind.dataset, mean=mean, std=kind.std, n_seeds=kind.n_seeds)
    verdict = judge(published, measured(own, std, seeds), tolerance).verdict
    assert verdict == (REPRODUCED if abs(round(own - mean, 9)) <= tolerance else DEVIATES)


def test_a_number_that_is_not_what_its_column_says_cannot_be_deviated_from():
    judgement = judge(OWN, measured(70.0, 0.3, 5), 1.0, flaw(comparable=False))
    assert (judgement.verdict, judgement.reason, judgement.difference) == (NOT_COMPARABLE, "shifted-column", -20.0)
    assert judgement.why.startswith("20 points below, but the published number is not what its column says")


def test_a_defect_is_named_beside_any_verdict():
    for mean, verdict in [(70.0, DEVIATES), (90.0, REPRODUCED)]:
        judgement = judge(OWN, measured(mean, 0.3, 5), 1.0, flaw(comparable=True))
        assert judgement.verdict == verdict
        assert judgement.why.endswith("; known defect of the published number: shifted-column")
    assert judge(OWN, measured(70.0), 1.0, flaw(True, "inferred")).why.endswith("shifted-column (inferred)")


def test_a_failed_status_is_told_even_where_a_mean_exists():
    assert judge(OWN, measured(90.0, 0.3, 4, "1 of 5 failed"), 1.0).why.endswith(
        "status of the measured cell: 1 of 5 failed"
    )
    assert "status" not in judge(OWN, measured(90.0, 0.3, 5, "ok"), 1.0).why


def test_judging_needs_two_means():
    with pytest.raises(ValueError, match="a published and a measured mean"):
        judge(OWN, measured(None), 1.0)


def test_cells_without_a_counterpart():
    digits = Cell("EMLC (k=1)", "Digits", "sym", 0.5, 83.0, 1.0, 3)
    judgement = judge_unmatched([digits], flaw(comparable=True))
    assert (judgement.verdict, judgement.reason, judgement.difference) == (NOT_COMPARABLE, "dataset", None)
    assert judgement.why == "measured on Digits only; known defect of the published number: shifted-column"
    assert judge_unmatched([]).reason == "no such cell"
    assert judge_unmatched([measured(None)]).reason == "no finished run"
    failed = judge_unmatched([measured(None, status="Failed: loss is not finite")])
    assert (failed.verdict, failed.reason) == (NOT_RUN, "failed")
