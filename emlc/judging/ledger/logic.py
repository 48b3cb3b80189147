"""Three-valued truth and the functions that every claim may use: None stands for what is not known."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any


class MissingNumberError(Exception):
    """A number that an expression needs is not there; the message says which."""


def all_of(values: Iterable[bool | None]) -> bool | None:
    """Kleene's conjunction: false if any value is false, else unknown if any is None."""
    seen = _truths(values)
    return False if False in seen else None if None in seen else True


def any_of(values: Iterable[bool | None]) -> bool | None:
    """Kleene's disjunction: true if any value is true, else unknown if any is None."""
    seen = _truths(values)
    return True if True in seen else None if None in seen else False


def _truths(values: Iterable[bool | None]) -> list[bool | None]:
    seen = list(values)
    if not all(value is None or isinstance(value, bool) for value in seen):
        raise TypeError("numbers are neither true nor false; compare them with something")
    return seen


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean.

    Raises
    ------
    MissingNumberError
        If there is no number.
    """
    numbers = list(values)
    if not numbers:
        raise MissingNumberError("the mean of no number")
    return math.fsum(numbers) / len(numbers)


def count(values: Iterable[bool | None]) -> int:
    """How many values are true.

    Raises
    ------
    MissingNumberError
        If one is unknown.
    """
    seen = _truths(values)
    if None in seen:
        raise MissingNumberError("one of the comparisons to count is unknown")
    return sum(value is True for value in seen)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": abs,
    "all": all_of,
    "any": any_of,
    "count": count,
    "max": max,
    "mean": mean,
    "min": min,
    "round": round,
    "sum": math.fsum,
}
"""By the names that expressions call them."""

THREE_VALUED: tuple[Callable[..., Any], ...] = (all_of, any_of, count)
"""Those of them that know what to make of an unknown value."""
