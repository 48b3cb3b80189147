"""Measured against published: a verdict for every published cell, and how far the rankings of the methods agree."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from emlc.judging.cells import AS_COLLECTED, Cell, noise_name
from emlc.judging.names import nearest
from emlc.judging.provenance import Defect, defect_of
from emlc.judging.recipes import Difference, PublishedRecipe, differences, recipe_of
from emlc.judging.statistics import kendall_tau
from emlc.judging.verdicts import DEVIATES, REPRODUCED, VERDICTS, Judgement, judge, judge_unmatched

DEFAULT_TOLERANCE = 1.0


@dataclass(frozen=True)
class Row:
    """A published cell, the measured cells that stand beside it, and the verdict.

    `measured` holds the cell of the same dataset or, where the result has none, those of the same method on datasets
    that the published table does not have: of the same noise, or of any if the published cell has none injected.
    `differences` are those of the recipes, where the cell was run.
    """

    published: Cell
    measured: tuple[Cell, ...]
    judgement: Judgement
    defect: Defect | None
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True)
class RankAgreement:
    """Kendall's tau-b between measured and published means of one published column.

    `measured_dataset` names the noise, too, where it is not the published column's. `tau` and `p_value` are None where
    tau is undefined (fewer than two methods, or all tied).
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
    published: Sequence[Cell],
    measured: Sequence[Cell],
    tolerance: float,
    provenance: Sequence[Defect] = (),
    recipes: Sequence[PublishedRecipe] = (),
) -> Comparison:
    """Compare every published cell with the measured ones.

    Parameters
    ----------
    published, measured : sequence of Cell
    tolerance : float
        Largest difference of means that counts as reproduced, in accuracy points.
    provenance : sequence of Defect
        What is known to be wrong with published numbers. Those that are not comparable stay out of the rank agreement.
    recipes : sequence of PublishedRecipe
        What published numbers were trained by, for measured cells that say it of theirs.

    Raises
    ------
    SuiteError
        If two provenance entries or two recipes cover a cell.
    """
    known = {cell.dataset_key for cell in published}
    rows = tuple(
        _row(cell, _beside(cell, measured, known), tolerance, defect_of(cell, provenance), recipe_of(cell, recipes))
        for cell in published
    )
    sound = [row.published for row in rows if row.defect is None or row.defect.comparable]
    used = {cell.key for row in rows for cell in row.measured}
    unpublished = tuple(cell for cell in measured if cell.mean is not None and cell.key not in used)
    unmatched = tuple(found for axis in AXES for found in _unmatched(axis, published, measured))
    return Comparison(tolerance, rows, tuple(rank_agreement(sound, measured)), unpublished, unmatched)


def rank_agreement(published: Sequence[Cell], measured: Sequence[Cell]) -> list[RankAgreement]:
    """Rank correlation of measured and published means, per published column with at least one measured method.

    A column is compared with the measured column of the same dataset and noise or, where there is none, with those on
    datasets that `published` does not have: of the same noise, or of any if the published one had none injected.
    """
    known = {cell.dataset_key for cell in published}
    finished = [cell for cell in measured if cell.mean is not None]
    agreements: list[RankAgreement] = []
    for place in dict.fromkeys((cell.dataset_key, cell.noise) for cell in published):
        theirs = [cell for cell in published if (cell.dataset_key, cell.noise) == place]
        ours = _counterparts(theirs[0], finished, known)
        for other in dict.fromkeys((cell.dataset_key, cell.noise) for cell in ours):
            own = {cell.method_key: cell for cell in ours if (cell.dataset_key, cell.noise) == other}
            agreements += _agreement([(cell, own[cell.method_key]) for cell in theirs if cell.method_key in own])
    return agreements


def _counterparts(published: Cell, measured: Sequence[Cell], known: Collection[str]) -> list[Cell]:
    """Return the measured cells of a published cell's column or of those that stand in; `known` names its datasets."""
    same = [own for own in measured if (own.dataset_key, own.noise) == (published.dataset_key, published.noise)]
    foreign = [own for own in measured if own.dataset_key not in known]
    return same or [own for own in foreign if published.noise in (own.noise, AS_COLLECTED)]


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
    noise = "" if own.noise == cell.noise else f", {noise_name(own.noise_type, own.noise_rate)}"
    return [RankAgreement(cell.noise_type, cell.noise_rate, cell.dataset, own.dataset + noise, methods, tau, p_value)]


def _beside(cell: Cell, measured: Sequence[Cell], known: Collection[str]) -> tuple[Cell, ...]:
    return tuple(_counterparts(cell, [own for own in measured if own.method_key == cell.method_key], known))


def _row(
    cell: Cell, beside: tuple[Cell, ...], tolerance: float, defect: Defect | None, recipe: PublishedRecipe | None
) -> Row:
    own = next((other for other in beside if other.dataset_key == cell.dataset_key and other.mean is not None), None)
    if own is None:
        return Row(cell, beside, judge_unmatched(beside, defect), defect)
    found = differences(own.recipe, recipe)
    return Row(cell, beside, judge(cell, own, tolerance, defect, found), defect, found)
