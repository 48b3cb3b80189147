"""Polynomial-margin noise: the public code's generator, given the posterior and the factors of ours."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from emlc.noise import margins
from pipelines.official import ours
from pipelines.official.clones import Repository
from pipelines.official.comparison import Case, State
from pipelines.official.replaced import Replaced
from pipelines.official.source import Definitions, load, needed

REPOSITORY = Repository("pxiangwu", "PLC", "8c2bcfd25e538fdcdb637a820ac340e9ee084e59")
IMAGES, RATES = 200, (0.6, 0.7)
"""Rates whose factors are above 1, as all published ones: below, the public code asks for probabilities above 1."""


def cases(clone: Path) -> Iterator[Case]:
    """Yield the rows of the three types."""
    generator = load(clone, "utils.py")
    for number, kind in enumerate(margins.KEEPS):
        official = partial(_official, generator, number, kind)
        yield Case(f"rows, type {number + 1}", partial(_ours, kind), official, steps=(1,))


def _posterior() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return class probabilities of images, from even to nearly certain, and true labels that they often miss."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(IMAGES, ours.CLASSES)) * rng.uniform(0, 6, (IMAGES, 1))
    eta = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(ours.CLASSES, p=row) for row in eta])
    return eta, labels


def _ours(kind: str, steps: int) -> State:
    eta, labels = _posterior()
    images = np.zeros((IMAGES, 1), np.uint8)
    with patch.object(margins, "posterior", lambda *_: eta):
        rows = [margins.margin_noise(kind, images, labels, ours.CLASSES, rate) for rate in RATES]
    return {"rows": [torch.from_numpy(row) for row in rows]}


def _factor(kind: str, rate: float) -> float:
    """Return the factor that gives a rate: the authors' are set by hand, ours is solved for."""
    eta, labels = _posterior()
    contest = margins.contest_of(eta)
    keep = np.polynomial.polynomial.polyval(contest.margin, margins.KEEPS[kind])
    return margins.factor_for(kind, contest, keep, labels, rate)


def _official(definitions: Definitions, number: int, kind: str, steps: int, undone: bool) -> State:
    eta, labels = _posterior()
    rows = []
    for rate in RATES:
        draws = {kept: _Draws(kept) for kept in (0, 1)}
        borne = {kept: _labels(definitions, eta, labels, number, _factor(kind, rate), draws[kept]) for kept in (0, 1)}
        row, at, share = np.zeros(eta.shape), np.arange(IMAGES), np.array(draws[1].asked)
        row[at, borne[1]], row[at, borne[0]] = share, 1 - share
        rows.append(torch.from_numpy(row))
    return {"rows": rows}


def _labels(definitions: Definitions, eta: Any, labels: Any, number: int, factor: float, draws: "_Draws") -> Any:
    definitions["np"] = Replaced(np, random=draws)
    data_set = SimpleNamespace(targets=labels.tolist())
    return needed(definitions, "label_noise")(data_set, torch.tensor(eta), number, factor=factor)[0]


class _Draws:
    """Draws that always, or never, keep an image's first class, and note how likely that was to be."""

    def __init__(self, outcome: int) -> None:
        self.outcome, self.asked = outcome, []

    def binomial(self, _: int, probability: float, __: int) -> int:
        """Return the outcome, as a number: arrays of one element are none in the NumPy of today."""
        self.asked.append(float(probability))
        return self.outcome
