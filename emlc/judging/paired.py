"""Which differences between methods are real: paired over seeds, since all methods of a table share tasks and seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

from emlc.judging.statistics import PairedDifference, paired_difference

LEVEL = 0.05
CLEAN_ONLY = "Clean only"
"""The method that tells what the clean set alone gives."""

ABOUT = """\
All methods of a column share tasks and seeds, so each is compared, seed by seed, with the best of the column and with
*Clean only*: mean of the paired differences in points with its 95 % confidence interval (Student's t). Bold:
significant at 5 % after a correction for the number of comparisons in the column (Benjamini and Hochberg, by SciPy).
Methods that cannot be told from the best are bold in the table above."""


@dataclass(frozen=True)
class Comparison:
    """One method against another in one column.

    Attributes
    ----------
    method, reference : str
    difference : PairedDifference
        `method` - `reference`, over the seeds that both completed.
    p : float or None
        Corrected p-value; None where no test is possible.
    """

    method: str
    reference: str
    difference: PairedDifference
    p: float | None

    @property
    def real(self) -> bool:
        """Whether the difference is significant at :data:`LEVEL` after the correction."""
        return self.p is not None and self.p < LEVEL


@dataclass(frozen=True)
class Column:
    """The comparisons of one column.

    Attributes
    ----------
    best : str
        The method with the largest mean.
    with_best, with_clean : tuple of Comparison
        Every other method against the best, and every method against ``Clean only`` (empty without that).
    """

    best: str
    with_best: tuple[Comparison, ...]
    with_clean: tuple[Comparison, ...]

    @property
    def top(self) -> tuple[str, ...]:
        """The best and all methods that cannot be told from it."""
        return (self.best, *(one.method for one in self.with_best if not one.real))


def compared(scores: Mapping[str, Mapping[str, float]], clean_only: str | None = None) -> Column | None:
    """Compare the methods of one column.

    Parameters
    ----------
    scores : mapping of str to mapping of str to float
        Method -> seed -> accuracy (%), of the runs that completed.
    clean_only : str, optional
        The method that uses the clean set alone.

    Returns
    -------
    Column or None
        None if no method completed a run.
    """
    finished = {method: by_seed for method, by_seed in scores.items() if by_seed}
    if not finished:
        return None
    best = max(finished, key=lambda method: sum(finished[method].values()) / len(finished[method]))
    there = clean_only is not None and clean_only in finished
    return Column(best, _against(best, finished), _against(clean_only, finished) if there else ())


def _against(reference: str, scores: Mapping[str, Mapping[str, float]]) -> tuple[Comparison, ...]:
    """Compare every other method with one, as far as they share seeds."""
    pairs = {method: seed_by_seed(scores[method], scores[reference]) for method in scores if method != reference}
    found = {method: pair for method, pair in pairs.items() if pair is not None}
    adjusted = corrected([pair.p for pair in found.values()])
    return tuple(
        Comparison(method, reference, pair, p) for (method, pair), p in zip(found.items(), adjusted, strict=True)
    )


def seed_by_seed(scores: Mapping[str, float], reference: Mapping[str, float]) -> PairedDifference | None:
    """Summarise ``scores - reference`` over the seeds that both have; None if they share none."""
    shared = [seed for seed in scores if seed in reference]
    return paired_difference([scores[seed] for seed in shared], [reference[seed] for seed in shared])


def corrected(values: Sequence[float | None]) -> list[float | None]:
    """Return p-values corrected for their number (Benjamini and Hochberg); those that are None stay so."""
    known = [value for value in values if value is not None]
    adjusted = iter(stats.false_discovery_control(known).tolist() if known else ())
    return [None if value is None else next(adjusted) for value in values]
