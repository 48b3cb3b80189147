"""Measured against published: a verdict for every published cell, and how far the rankings of the methods agree."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from emlc.judging.cells import Cell
from emlc.judging.names import nearest
from emlc.judging.provenance import Defect, defect_of
from emlc.judging.statistics import kendall_tau
from emlc.judging.verdicts import DEVIATES, REPRODUCED, VERDICTS, Judgement, judge, judge_unmatched

DEFAULT_TOLERANCE = 1.0


@dataclass(frozen=True)
class Row:
    """A published cell, the measured cells that stand beside it, and the verdict.

    `measured` holds the cell of the same dataset or, where the result has none, those of the same method and noise on
    datasets that the published table does not have.
    """

    published: Cell
    measured: tuple[Cell, ...]
    judgement: Judgement
    defect: Defect | None


@dataclass(frozen=True)
class RankAgreement:
    """Kendall's tau-b between measured and published means of one published column.

    `tau` and `p_value` are None where tau is undefined (fewer than two methods, or all tied).
    """

    noise_type: str
    noise_rate: float | None
    published_dataset: str
    measured_dataset: str
    methods: tuple[str, ...]
    tau: float | None
    p_value: float | None


@dataclass(frozen=True)
class Unmatched:
    """A name that the published table does not have.

    Attributes
    ----------
    axis : str
        ``method``, ``dataset`` or ``noise_type``.
    name : str
    nearest : str or None
        The published name that is spelled most like it.
    """

    axis: str
    name: str
    nearest: str | None


AXES: Mapping[str, Callable[[Cell], str]] = {
    "method": lambda cell: cell.method_key,
    "dataset": lambda cell: cell.dataset_key,
    "noise_type": lambda cell: cell.noise[0],
}


@dataclass(frozen=True)
class Comparison:
    """Everything that a results table says about a published one.

    `unpublished` holds the measured cells for which the paper has no number, `unmatched` the names that it lacks.
    """

    tolerance: float
    rows: tuple[Row, ...]
    ranks: tuple[RankAgreement, ...]
    unpublished: tuple[Cell, ...]
    unmatched: tuple[Unmatched, ...]

    @property
    def judged(self) -> bool:
        """Whether any published cell could be judged."""
        return bool(self.counts[REPRODUCED] + self.counts[DEVIATES])

    @property
    def counts(self) -> dict[str, int]:
        """How many published cells got each verdict."""
        return {verdict: sum(row.judgement.verdict == verdict for row in self.rows) for verdict in VERDICTS}


def compare(
    published: Sequence[Cell], measured: Sequence[Cell], tolerance: float, provenance: Sequence[Defect] = ()
) -> Comparison:
    """Compare every published cell with the measured ones.

    Parameters
    ----------
    published, measured : sequence of Cell
    tolerance : float
        Largest difference of means that counts as reproduced, in accuracy points.
    provenance : sequence of Defect
        What is known to be wrong with published numbers. Those that are not comparable stay out of the rank agreement.

    Raises
    ------
    SuiteError
        If two provenance entries cover a cell.
    """
    known = {cell.dataset_key for cell in published}
    rows = tuple(_row(cell, _beside(cell, measured, known), tolerance, provenance) for cell in published)
    sound = [row.published for row in rows if row.defect is None or row.defect.comparable]
    used = {cell.key for row in rows for cell in row.measured}
    unpublished = tuple(cell for cell in measured if cell.mean is not None and cell.key not in used)
    unmatched = tuple(found for axis in AXES for found in _unmatched(axis, published, measured))
    return Comparison(tolerance, rows, tuple(rank_agreement(sound, measured)), unpublished, unmatched)


def rank_agreement(published: Sequence[Cell], measured: Sequence[Cell]) -> list[RankAgreement]:
    """Rank correlation of measured and published means, per published column with at least one measured method.

    A column is compared with the measured column of the same dataset and noise or, where there is none, with those of
    the same noise on datasets that `published` does not have.
    """
    known = {cell.dataset_key for cell in published}
    finished = [cell for cell in measured if cell.mean is not None]
    agreements: list[RankAgreement] = []
    for dataset, noise in dict.fromkeys((cell.dataset_key, cell.noise) for cell in published):
        theirs = [cell for cell in published if (cell.dataset_key, cell.noise) == (dataset, noise)]
        column = [cell for cell in finished if cell.noise == noise]
        same = [cell for cell in column if cell.dataset_key == dataset]
        ours = same or [cell for cell in column if cell.dataset_key not in known]
        for other in dict.fromkeys(cell.dataset_key for cell in ours):
            own = {cell.method_key: cell for cell in ours if cell.dataset_key == other}
            agreements += _agreement([(cell, own[cell.method_key]) for cell in theirs if cell.method_key in own])
    return agreements


def _unmatched(axis: str, published: Sequence[Cell], measured: Sequence[Cell]) -> list[Unmatched]:
    key = AXES[axis]
    known = {key(cell): getattr(cell, axis) for cell in published}
    finished = [cell for cell in measured if cell.mean is not None]
    names = dict.fromkeys(getattr(cell, axis) for cell in finished if key(cell) not in known)
    return [Unmatched(axis, name, nearest(name, list(known.values()))) for name in names]


def _agreement(pairs: Sequence[tuple[Cell, Cell]]) -> list[RankAgreement]:
    """Rank agreement of one published with one measured column; empty if they share no method."""
    if not pairs:
        return []
    scores = [(cell.mean, own.mean) for cell, own in pairs if cell.mean is not None and own.mean is not None]
    tau, p_value = kendall_tau([ours for _, ours in scores], [theirs for theirs, _ in scores]) or (None, None)
    (cell, own), methods = pairs[0], tuple(cell.method for cell, _ in pairs)
    return [RankAgreement(cell.noise_type, cell.noise_rate, cell.dataset, own.dataset, methods, tau, p_value)]


def _beside(cell: Cell, measured: Sequence[Cell], known: set[str]) -> tuple[Cell, ...]:
    candidates = [own for own in measured if (own.method_key, own.noise) == (cell.method_key, cell.noise)]
    same = [own for own in candidates if own.dataset_key == cell.dataset_key]
    return tuple(same or [own for own in candidates if own.dataset_key not in known])


def _row(cell: Cell, beside: tuple[Cell, ...], tolerance: float, provenance: Sequence[Defect]) -> Row:
    defect = defect_of(cell, provenance)
    own = next((other for other in beside if other.dataset_key == cell.dataset_key and other.mean is not None), None)
    judgement = judge_unmatched(beside, defect) if own is None else judge(cell, own, tolerance, defect)
    return Row(cell, beside, judgement, defect)
