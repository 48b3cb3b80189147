"""Expressions mean what Python means by them, with three-valued truth, and can do nothing else."""

import ast
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from emlc.judging.ledger.evaluation import evaluate
from emlc.judging.ledger.logic import MissingNumberError, all_of, any_of
from emlc.judging.ledger.steps import Reading, Step
from emlc.judging.ledger.syntax import LONGEST, parse
from emlc.records.errors import SuiteError


def read(name):
    numbers = {"a": 92.63, "b": 90.07, "zero": 0.0}
    if name not in numbers:
        raise MissingNumberError(f"no number for {name}")
    return Reading(numbers[name], f"cell {name}")


NAMES = {"read": read, "known": ["a", "b"], "some": ["a", "gone"], "pairs": [["a", 90], ["b", 91]], "x": 3}


def outcome(text):
    return evaluate(parse(text), NAMES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 < 2", True),
        ("2 <= 1", False),
        ("1 == 1.0", True),
        ("1 != 1", False),
        ("-x + 2 * x == 3", True),
        ("x / 2 == 1.5", True),
        ("x - 1 - 1 == 1", True),
        ("x - (1 - 1) == 3", True),
        ("not 1 > 2", True),
        ("1 < 2 and 2 < 1", False),
        ("1 < 2 or 2 < 1", True),
        ("read('a') - read('b') == 2.56", True),
        ("abs(read('b') - read('a')) == 2.56", True),
        ("round(read('a'), 0) == 93", True),
        ("max(1, 2) - min(1, 2) == 1", True),
        ("max(read(n) for n in known) == 92.63", True),
        ("mean(read(n) for n in known) == 91.35", True),
        ("count(read(n) > 91 for n in known) == 1", True),
        ("all(read(n) > 90 for n in known)", True),
        ("all(read(n) > 91 for n in known)", False),
        ("any(read(n) > 92 for n in known)", True),
        ("any(read(n) > 93 for n in known)", False),
        ("all(read(n) > 91 for n in known if read(n) > 91)", True),
        ("all(read(n) > m for n in known for m in [1, 2])", True),
        ("all(f > 1 for f in [*[2, 3], 4])", True),
    ],
)
def test_expressions_mean_what_python_means(text, expected):
    assert outcome(text).holds is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("read('gone') > 1", None),
        ("not read('gone') > 1", None),
        ("read('gone') > 1 and 1 > 2", False),
        ("read('gone') > 1 and 1 < 2", None),
        ("read('gone') > 1 or 1 < 2", True),
        ("read('gone') > 1 or 1 > 2", None),
        ("all(read(n) > 93 for n in some)", False),
        ("all(read(n) > 90 for n in some)", None),
        ("any(read(n) > 90 for n in some)", True),
        ("any(read(n) > 93 for n in some)", None),
        ("mean(read(n) for n in some) > 1", None),
        ("count(read(n) > 1 for n in some) == 1", None),
        ("1 / read('zero') > 1", None),
        ("mean(read(n) for n in known if read(n) > 99) > 1", None),
        ("all(read(n) > 90 for n in some if read(n) > 1)", None),
        ("all(read(n) > 93 for n in some if read(n) > 1)", False),
        ("all(1 < 2 for n in some if read(n) > 99)", None),
        ("any(1 < 2 for n in some if read(n) > 1)", True),
        ("any(1 < 2 for n in some for m in known if read(n) > 99)", None),
        ("count(1 < 2 for n in some if read(n) > 1) == 3", None),
        ("sum(1 for n in some if read(n) > 1) == 2", None),
        ("mean(1 for n in some if read(n) > 1) == 1", None),
    ],
)
def test_what_hangs_on_a_missing_number_is_unknown(text, expected):
    assert outcome(text).holds is expected


@given(st.lists(st.sampled_from([True, False, None])))
def test_conjunction_and_disjunction_are_kleenes(values):
    """A known result is the one of every way to fill in what is unknown."""
    fillings = [values]
    for place, value in enumerate(values):
        if value is None and len(fillings) < 512:
            fillings = [[*f[:place], known, *f[place + 1 :]] for f in fillings for known in (True, False)]
    for kleene, python in ((all_of, all), (any_of, any)):
        results = {python(filling) for filling in fillings if None not in filling}
        if results:
            assert kleene(values) is (results.pop() if len(results) == 1 else None)


@given(st.integers(-99, 99), st.integers(-99, 99), st.integers(1, 99), st.sampled_from("+-*/"))
def test_arithmetic_is_pythons(left, right, divisor, symbol):
    right = divisor if symbol == "/" else right
    text = f"{left} {symbol} {right}" if right >= 0 else f"{left} {symbol} ({right})"
    expected = round(eval(text), 9)
    assert evaluate(parse(f"{text} == {expected!r}"), {}).holds


def test_every_comparison_is_kept_with_its_numbers():
    found = outcome("read('a') - read('b') == 2.16 or read('b') > 90 and read('gone') > x").steps
    assert found == (
        Step("cell a (92.63) - cell b (90.07) = 2.56 == 2.16", False),
        Step("cell b (90.07) > 90", True),
        Step("no number for gone", None),
    )
    assert outcome("all(read(*p) > 1 for p in [['a'], ['b']])").steps[1].text == "cell b (90.07) > 1"
    assert outcome("mean(read(n) for n in known) > 1").steps[0].text == "mean(2 values) = 91.35 > 1"
    assert outcome("(x - 1) * 2 == 4").steps[0].text == "(x - 1) * 2 = 4 == 4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 <", "is no expression"),
        ("", "is no expression"),
        ("1 < 2 < 3", "chains comparisons"),
        ("1 if 1 < 2 else 3", "uses IfExp"),
        ("x.real > 1", "uses Attribute"),
        ("known[0] > 1", "uses Subscript"),
        ("[n for n in known] > 1", "uses ListComp"),
        ("max(lambda: 1) > 1", "uses Lambda"),
        ("0 / 0", "outside of a comparison"),
        ("1e999 > 1", "a number beyond"),
        ("9" * 400 + " > 1", "a number beyond"),
        (" * ".join(["999999999999999"] * 25) + " > round(9999999999 * 9999999999 / 1e-300)", "does not fit round"),
        ("(x := 2) > 1", "uses NamedExpr"),
        ("2 ** 99 > 1", "uses Pow"),
        ("f'{x}' > 1", "uses JoinedStr"),
        ("read(**x) > 1", "spreads a mapping"),
        ("read('a')('b') > 1", "not a function's name"),
        ("None == 1", "only numbers and texts"),
        ("True", "only numbers and texts"),
        ("b'x' > 1", "only numbers and texts"),
        ("all(a > b for a, b in pairs)", "give its items one name"),
        ("__import__('os') > 1", "unknown function '__import__'"),
        ("open('x') > 1", "unknown function 'open'"),
        ("y > 1", "unknown name 'y'"),
        ("x(1) > 1", "unknown function 'x'"),
        ("read('a', 'b') > 1", "does not fit read"),
        ("read(far=1) > 1", "does not fit read"),
        ("max(3) > 1", "does not fit max"),
        ("x + 1", "neither true nor false"),
        ("1 and 2", "neither true nor false"),
        ("not x", "neither true nor false"),
        ("'a' > 1", "is no number"),
        ("'a' * 9 > 1", "is no number"),
        ("(1 < 2) + 1 > 1", "is no number"),
        ("known > 1", "is no number"),
        ("all(n > 1 for n in 'abc')", "is no list"),
        ("all(n > 1 for n in x)", "is no list"),
        ("read(*x) > 1", "is no list"),
        ("*known > 1", "is no expression"),
        ("1 > 0 and " * 99 + "1 > 0", f"{LONGEST} is the most"),
        ("(" * 300 + "1", "is no expression"),
        ("1 > \x00", "is no expression"),
    ],
)
def test_anything_else_gets_one_clear_line(text, message):
    with pytest.raises(SuiteError, match=r".") as caught:
        outcome(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def answer(text):
    """What an expression comes to, or the message of the error."""
    try:
        return outcome(text).holds
    except SuiteError as error:
        return str(error)


@given(st.text(max_size=60))
def test_no_text_does_anything_but_parse_or_fail_cleanly(text):
    found = answer(text)
    assert found in (True, False, None) or "\n" not in found


def test_numbers_are_compared_to_nine_decimals_after_arithmetic():
    assert not math.isclose(92.63 - 90.07, 2.56, rel_tol=0, abs_tol=1e-16)
    assert outcome("92.63 - 90.07 == 2.56").holds
    assert outcome("1.00000001 > 1").holds


def test_parsing_returns_a_tree_without_executing():
    assert isinstance(parse("read('a') > 1"), ast.Compare)


RUNS = {
    "one": {"0": 81.0, "1": 79.0, "2": 90.0, "3": 85.0, "9": 1.0},
    "two": {"0": 80.0, "1": 80.0, "2": 84.0, "3": 83.0},
    "alone": {"0": 80.0},
    "elsewhere": {"7": 80.0},
    "bare": {},
}


def seeds(name):
    return Reading(82.0, name, by_seed=RUNS[name])


def test_numbers_of_the_same_seeds_are_compared_seed_by_seed():
    (step,) = evaluate(parse("seeds('one') >= seeds('two')"), {"seeds": seeds}).steps
    differences = np.array([1.0, -1.0, 6.0, 2.0])
    error = differences.std(ddof=1) / 2
    half = stats.t.isf(0.025, 3) * error
    interval = f"[{2 - half:+.2f}, {2 + half:+.2f}]"
    assert step.text == f"one (82) >= two (82); paired difference +2.00 {interval}, n = 4"
    assert step.p == pytest.approx(2 * stats.t.sf(2 / error, 3), rel=1e-3)


@pytest.mark.parametrize("other", ["seeds('alone')", "seeds('elsewhere')", "seeds('bare')", "seeds('two') + 0", "80"])
def test_no_comparison_by_seed_without_two_shared_ones(other):
    (step,) = evaluate(parse(f"seeds('one') > {other}"), {"seeds": seeds}).steps
    assert (step.p, "paired" in step.text) == (None, False)
