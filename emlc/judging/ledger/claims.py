"""The claims of a paper as data, and the verdict on each from a set of numbers."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emlc.judging.ledger.evaluation import evaluate
from emlc.judging.ledger.logic import all_of
from emlc.judging.ledger.steps import Outcome, Step
from emlc.judging.paired import LEVEL, corrected
from emlc.records.errors import SuiteError

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "not measured"
VERDICTS: Mapping[bool | None, str] = {True: HOLDS, False: FAILS, None: UNKNOWN}

EVIDENCE = {
    "table": "cells of Tables 1 and 2",
    "timing": "times per epoch",
    "figure": "the numbers that a figure draws",
    "fidelity": "meta-gradients against the exact unrolled one",
    "ablation": "runs with one part changed",
    "provenance": "where the quoted numbers come from",
    "split": "the images of the clean, noisy and validation sets",
}
"""What can decide a claim."""


@dataclass(frozen=True)
class Quote:
    """Where the paper says something: the section, and enough of the sentence to find it."""

    section: str
    text: str


@dataclass(frozen=True)
class Assertion:
    """A reading of a sentence: in words and as an expression."""

    asserts: str
    expression: str
    tree: ast.expr


@dataclass(frozen=True)
class Claim:
    """One checkable claim.

    Attributes
    ----------
    id : str
    quotes : tuple of Quote
    main : Assertion
        What must be true for the claim to hold.
    evidence : str
        Key of `EVIDENCE`.
    each : str
        A group: the expression must hold for each member, which it calls ``each``. Empty if it is one statement.
    dataset : str
        The data set that the figure or timing behind it is of; empty for tables, which name theirs in the expression,
        and for what hangs on no data set.
    transfers : bool
        Whether the sentence makes sense on a data set that the paper does not have (comparisons of methods do,
        accuracies that it names do not).
    remarks : tuple of Assertion
        Further statements about the same numbers that help to understand the verdict; they do not change it.
    """

    id: str
    quotes: tuple[Quote, ...]
    main: Assertion
    evidence: str
    each: str
    dataset: str
    transfers: bool
    remarks: tuple[Assertion, ...]


@dataclass(frozen=True)
class Ledger:
    """All claims, and the groups of names that their expressions use."""

    claims: tuple[Claim, ...]
    groups: Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Finding:
    """The verdict on a claim from one set of numbers.

    Attributes
    ----------
    verdict : str
        ``holds``, ``does not hold`` or ``not measured``.
    only : tuple of str
        The members of its group for which the claim holds, if it holds for some and not for others.
    steps : tuple of Step
        The comparisons behind it, each once.
    """

    verdict: str
    only: tuple[str, ...]
    steps: tuple[Step, ...]

    @property
    def paired(self) -> int:
        """How many of the comparisons are of two numbers over the same seeds."""
        return sum(step.p is not None for step in self.steps)

    @property
    def real(self) -> int:
        """How many of these differ beyond chance, corrected for their number (:mod:`emlc.judging.paired`)."""
        return sum(p is not None and p < LEVEL for p in corrected([step.p for step in self.steps]))


def judge(claim: Claim, groups: Mapping[str, Sequence[Any]], functions: Mapping[str, Any]) -> Finding:
    """Judge a claim on the numbers that `functions` read.

    Raises
    ------
    SuiteError
        If its expression does not fit the functions; names the claim.
    """
    names = {**groups, **functions}
    members = groups[claim.each] if claim.each else [None]
    outcomes = {str(member): _outcome(claim, claim.main, {**names, "each": member}) for member in members}
    holding = tuple(member for member, outcome in outcomes.items() if outcome.holds)
    mixed = claim.each and any(outcome.holds is False for outcome in outcomes.values())
    steps = tuple(dict.fromkeys(step for outcome in outcomes.values() for step in outcome.steps))
    verdict = VERDICTS[all_of(outcome.holds for outcome in outcomes.values())]
    return Finding(verdict, holding if mixed else (), steps)


def judge_remark(claim: Claim, remark: Assertion, ledger: Ledger, functions: Mapping[str, Any]) -> Finding:
    """Judge one of a claim's remarks, as :func:`judge` does the claim."""
    outcome = _outcome(claim, remark, {**ledger.groups, **functions})
    return Finding(VERDICTS[outcome.holds], (), tuple(dict.fromkeys(outcome.steps)))


def _outcome(claim: Claim, assertion: Assertion, names: Mapping[str, Any]) -> Outcome:
    try:
        return evaluate(assertion.tree, names)
    except SuiteError as error:
        raise SuiteError(f"claim {claim.id}: {error}") from error
