"""Which measured cell stands beside which published one, and how rankings are compared."""

import pytest

from emlc.judging.cells import Cell
from emlc.judging.comparison import compare, rank_agreement
from emlc.judging.provenance import Defect
from emlc.judging.verdicts import DEVIATES, NOT_COMPARABLE, NOT_RUN, REPRODUCED


def cell(method, dataset, rate=0.5, mean=None, kind="sym", **rest):
    return Cell(method, dataset, kind, rate, mean, **rest)


PUBLISHED = [
    cell("A", "CIFAR-10", 0.5, 80.0),
    cell("B", "CIFAR-10", 0.5, 85.0),
    cell("C", "CIFAR-10", 0.5, 90.0),
    cell("A", "CIFAR-10", 0.4, 70.0, "asym"),
    cell("A", "CIFAR-100", 0.5, 45.0),
    cell("B", "CIFAR-100", 0.5, 40.0),
]


def verdicts(measured, **options):
    return [(row.judgement.verdict, row.judgement.reason) for row in compare(PUBLISHED, measured, 1.0, **options).rows]


def test_an_empty_result_ran_nothing():
    assert verdicts([]) == [(NOT_RUN, "no such cell")] * 6


def test_the_same_cell_is_judged_and_no_other():
    measured = [cell("A", "CIFAR-10", 0.5, 80.4), cell("B", "CIFAR-10", 0.5, 20.0), cell("A", "CIFAR-10", 0.2, 70.0)]
    comparison = compare(PUBLISHED, measured, 1.0)
    assert [row.judgement.verdict for row in comparison.rows] == [
        REPRODUCED,
        DEVIATES,
        NOT_RUN,
        NOT_RUN,
        NOT_RUN,
        NOT_RUN,
    ]
    assert comparison.counts == {REPRODUCED: 1, DEVIATES: 1, NOT_COMPARABLE: 0, NOT_RUN: 4}
    assert comparison.unpublished == (measured[2],)


def test_another_dataset_stands_beside_every_column_of_its_noise():
    digits, jpeg = cell("A", "Digits", 0.5, 95.0), cell("A", "CIFAR-10 (JPEG)", 0.5, 60.0)
    comparison = compare(PUBLISHED, [digits, jpeg], 1.0)
    rows = [comparison.rows[0], comparison.rows[4]]
    assert [row.measured for row in rows] == [(digits, jpeg)] * 2
    assert {(row.judgement.verdict, row.judgement.reason) for row in rows} == {(NOT_COMPARABLE, "dataset")}
    assert rows[0].judgement.why == "measured on Digits and CIFAR-10 (JPEG) only"
    assert comparison.counts[NOT_RUN] == 4
    assert comparison.unpublished == ()


def test_a_published_dataset_never_stands_in_for_another():
    assert verdicts([cell("A", "CIFAR-100", 0.5, 80.0)])[0] == (NOT_RUN, "no such cell")


def test_the_cells_own_run_counts_even_if_it_failed():
    measured = [
        cell("A", "CIFAR-10", status="failed"),
        cell("A", "Digits", 0.5, 95.0),
        cell("B", "Digits", status="not run"),
    ]
    assert verdicts(measured)[:2] == [(NOT_RUN, "failed"), (NOT_RUN, "no finished run")]


def test_what_the_paper_lacks_is_kept_apart():
    extra = cell("Clean only", "CIFAR-10", 0.5, 78.0)
    unfinished = cell("Clean only", "CIFAR-10", 0.9)
    assert compare(PUBLISHED, [extra, unfinished], 1.0).unpublished == (extra,)


def test_a_flawed_number_stays_out_of_verdicts_and_rankings():
    flaw = Defect("C", "CIFAR-10", "shifted-column", False, "verified", "It belongs elsewhere.")
    measured = [cell(name, "CIFAR-10", 0.5, mean) for name, mean in [("A", 80.0), ("B", 85.0), ("C", 10.0)]]
    comparison = compare(PUBLISHED, measured, 1.0, [flaw])
    assert [row.judgement.verdict for row in comparison.rows[:3]] == [REPRODUCED, REPRODUCED, NOT_COMPARABLE]
    assert comparison.ranks[0].methods == ("A", "B")
    mild = Defect("C", "CIFAR-10", "untraced", True, "unknown", "No source found.")
    comparison = compare(PUBLISHED, measured, 1.0, [mild])
    assert comparison.rows[2].judgement.verdict == DEVIATES
    assert comparison.ranks[0].methods == ("A", "B", "C")


def test_rankings_per_column_by_hand():
    # A < C < B measured; published on CIFAR-10 A < B < C (one of three pairs swapped), on CIFAR-100 B < A.
    digits = [
        cell(name, "Digits", 0.5, mean) for name, mean in [("A", 1.0), ("B", 3.0), ("C", 2.0), ("Clean only", 9.0)]
    ]
    first, second = rank_agreement(
        PUBLISHED, [*digits, cell("D", "Digits", 0.4, 1.0, "asym"), cell("A", "Digits", 0.2, 1.0)]
    )
    assert (first.published_dataset, first.measured_dataset, first.noise_rate) == ("CIFAR-10", "Digits", 0.5)
    assert first.methods == ("A", "B", "C")
    assert first.tau == pytest.approx((2 - 1) / 3)
    assert (second.published_dataset, second.methods, second.tau) == ("CIFAR-100", ("A", "B"), -1)


def test_a_column_of_the_same_dataset_is_preferred():
    measured = [cell("A", "CIFAR-10", 0.5, 1.0), cell("B", "CIFAR-10", 0.5, 2.0), cell("A", "Digits", 0.5, 2.0)]
    ranks = rank_agreement(PUBLISHED, [*measured, cell("B", "Digits", 0.5, 1.0)])
    assert [(rank.published_dataset, rank.measured_dataset, rank.tau) for rank in ranks] == [
        ("CIFAR-10", "CIFAR-10", 1),
        ("CIFAR-100", "Digits", 1),
    ]


def test_one_method_or_unfinished_ones_make_no_order():
    (rank,) = rank_agreement(PUBLISHED, [cell("C", "CIFAR-10", 0.5, 1.0), cell("A", "CIFAR-10")])
    assert (rank.methods, rank.tau, rank.p_value) == (("C",), None, None)


CLOTHING = [Cell(method, "Clothing1M", mean=mean) for method, mean in [("A", 70.0), ("B", 75.0), ("C", 79.0)]]


def test_labels_as_they_were_collected_are_stood_in_for_by_any_noise():
    fashion = [cell(name, "Fashion", 0.385, mean, "part") for name, mean in [("A", 50.0), ("B", 70.0), ("C", 60.0)]]
    other = [cell(name, "Fashion", 0.2, mean) for name, mean in [("A", 1.0), ("C", 2.0)]]
    comparison = compare(CLOTHING, [*fashion, *other], 1.0)
    assert [rank.measured_dataset for rank in comparison.ranks] == ["Fashion, Part. 38.5%", "Fashion, Sym. 20%"]
    assert [rank.tau for rank in comparison.ranks] == pytest.approx([1 / 3, 1])
    assert comparison.rows[0].measured == (fashion[0], other[0])
    assert [(row.judgement.verdict, row.judgement.reason) for row in comparison.rows] == [
        (NOT_COMPARABLE, "dataset")
    ] * 3
    assert comparison.unpublished == ()


def test_the_same_data_is_preferred_to_any_stand_in():
    own = Cell("A", "Clothing 1M", mean=70.5)
    row, *_ = compare(CLOTHING, [cell("A", "Fashion", 0.385, 50.0, "part"), own], 1.0).rows
    assert (row.measured, row.judgement.verdict) == ((own,), REPRODUCED)
    injected = cell("A", "Clothing1M", 0.2, 60.0)  # of the same data, but with noise of our own
    assert compare(CLOTHING, [injected], 1.0).rows[0].judgement.verdict == NOT_RUN
