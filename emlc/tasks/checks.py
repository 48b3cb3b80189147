"""What must hold of the parts of a task, each by itself; errors name the part."""

from typing import Any

import numpy as np

from emlc.records.errors import SuiteError
from emlc.tasks.splits import Indices


def check_text(name: str, value: Any) -> None:
    """Raise a SuiteError if `value` is not a text, or empty."""
    if not isinstance(value, str) or not value:
        raise SuiteError(f"task: {name} must be a text, not {value!r}")


def check_whole(name: str, value: Any, low: int) -> None:
    """Raise a SuiteError if `value` is not a whole number, `low` or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise SuiteError(f"task: {name} must be a whole number, {low} or more, not {value!r}")


def check_choice(name: str, value: Any, known: tuple[str, ...]) -> None:
    """Raise a SuiteError if `value` is not one of `known`."""
    if value not in known:
        raise SuiteError(f"unknown {name} {value!r}; known: {', '.join(known)}")


def check_indices(name: str, indices: Indices) -> None:
    """Raise a SuiteError if `indices` are not positions in ascending order, at least one."""
    if indices.ndim != 1 or len(indices) == 0 or indices[0] < 0 or np.any(np.diff(indices) <= 0):
        raise SuiteError(f"task: {name} must be positions in ascending order, at least one")
