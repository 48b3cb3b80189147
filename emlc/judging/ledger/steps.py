"""What an expression reads, the comparisons that it makes, and what it comes to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from emlc.judging.paired import seed_by_seed


@dataclass(frozen=True)
class Reading:
    """A number with the words for where it was read, which a function of an expression may return.

    Attributes
    ----------
    value : float
    label : str
        E.g. ``EMLC (k=1), CIFAR-10, Sym. 90%``.
    shown : str
        How the number is printed, e.g. with its spread; empty for the bare value.
    by_seed : mapping of str to float
        The numbers by seed whose mean it is; empty if there are none.
    """

    value: float
    label: str
    shown: str = ""
    by_seed: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One comparison that was made.

    Attributes
    ----------
    text : str
        With the numbers filled in.
    holds : bool or None
        None: unknown.
    p : float or None
        p-value of no difference, paired over seeds; None where the two sides are not numbers of the same seeds.
    """

    text: str
    holds: bool | None
    p: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What an expression comes to (None: unknown), and the comparisons behind it in their order."""

    holds: bool | None
    steps: tuple[Step, ...]


def compared(text: str, holds: bool, left: Mapping[str, float], right: Mapping[str, float]) -> Step:
    """Return a comparison; of numbers by seed it tells their paired difference and its 95 % interval, too."""
    found = seed_by_seed(left, right)
    if found is None or found.low is None or found.high is None or found.p is None:
        return Step(text, holds)
    interval = f"paired difference {found.mean:+.2f} [{found.low:+.2f}, {found.high:+.2f}], n = {found.n}"
    return Step(f"{text}; {interval}", holds, float(f"{found.p:.4g}"))
