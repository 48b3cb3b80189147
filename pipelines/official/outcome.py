"""What became of each method's comparison."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.official.clones import NotComparable, Repository, find_clone
from pipelines.official.comparison import AGREES, DIFFERS, EXPLAINED, STATISTICS, Case, Difference, compare

METHODS = {
    "emlc": "EMLC",
    "mlc": "MLC",
    "mw_net": "MW-Net",
    "mslc": "MSLC",
    "fasten": "FasTEN",
    "mlnt": "MLNT",
    "simclr": "SimCLR",
    "resnets": "ResNets",
    "pencil": "P-correction",
    "elr_plus": "ELR+",
    "mslg": "MSLG",
    "joint_optim": "Joint-Optim",
    "joint_optim_chainer": "Joint-Optim (Chainer)",
    "part_dependent": "Part-dependent noise",
    "margins": "Polynomial-margin noise",
    "noise": "Noise and splits",
    "dividemix": "DivideMix",
    "augdesc": "AugDesc",
    "c2d": "C2D",
    "sanm": "SANM",
    "famus": "FaMUS",
}
"""Module of an adapter in this package -> what it compares. An adapter has a REPOSITORY and `cases(clone)`."""


@dataclass(frozen=True)
class Compared:
    """A case that was run.

    Attributes
    ----------
    case : Case
    differences : tuple of Difference
        Of every part, after every number of steps.
    """

    case: Case
    differences: tuple[Difference, ...]

    @property
    def verdict(self) -> str:
        """Return the worst of the parts' verdicts."""
        return max((difference.verdict for difference in self.differences), key=(AGREES, EXPLAINED, DIFFERS).index)

    @property
    def as_it_is(self) -> float:
        """Return the largest difference from the official code as it is."""
        return max(difference.as_it_is for difference in self.differences)

    def largest(self, *, statistics: bool) -> float | None:
        """Return the largest difference as it is, of running statistics or of all else; None if there is none."""
        values = [row.as_it_is for row in self.differences if row.part.endswith(STATISTICS) == statistics]
        return max(values, default=None)

    @property
    def undone(self) -> float | None:
        """Return the largest difference with the defects undone; None for a case without."""
        values = [difference.undone for difference in self.differences if difference.undone is not None]
        return max(values, default=None)


@dataclass(frozen=True)
class Outcome:
    """What became of one method.

    Attributes
    ----------
    method : str
    repository : Repository
    compared : tuple of Compared
    problems : tuple of str
        Why the whole comparison, or cases of it, did not run; one line each.
    """

    method: str
    repository: Repository
    compared: tuple[Compared, ...]
    problems: tuple[str, ...]


def adapter_of(name: str) -> Any:
    """Return the adapter of a key of :data:`METHODS`."""
    return importlib.import_module(f"pipelines.official.{name}")


def compare_method(name: str, folder: Path) -> Outcome:
    """Compare one method, a key of :data:`METHODS`, with its official code in a folder of clones."""
    adapter = adapter_of(name)
    compared, problems = [], []
    try:
        for case in adapter.cases(find_clone(folder, adapter.REPOSITORY)):
            try:
                compared.append(Compared(case, tuple(compare(case))))
            except NotComparable as problem:
                problems.append(str(problem))
    except NotComparable as problem:
        problems.append(str(problem))
    return Outcome(METHODS[name], adapter.REPOSITORY, tuple(compared), tuple(problems))


ALL_AGREE, SOME_DIFFER, NOTHING_COMPARED = 0, 1, 3


def exit_status(outcomes: list[Outcome]) -> int:
    """Return 0 if all that was compared agrees or is explained, 1 if not, 3 if nothing was compared."""
    verdicts = [compared.verdict for outcome in outcomes for compared in outcome.compared]
    if not verdicts:
        return NOTHING_COMPARED
    return SOME_DIFFER if DIFFERS in verdicts else ALL_AGREE
