"""Part-dependent noise: the public code's generator, with the random draws of ours."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from emlc.noise import instances
from emlc.noise.part_dependent import Probabilities, flip_probabilities
from pipelines.official import ours
from pipelines.official.clones import Repository
from pipelines.official.comparison import Case, State
from pipelines.official.replaced import Replaced
from pipelines.official.source import Definitions, load, needed

REPOSITORY = Repository("xiaoboxia", "Part-dependent-label-noise", "b682527702bd8abf3c099e16516e23b03f163f04")
KIND, IMAGES, SIDE, SEED = "idn-part-dependent", 300, 6, 4
RATES = (0.1, 0.385, 0.9)


def cases(clone: Path) -> Iterator[Case]:
    """Yield rows and labels for a low, a medium and a high rate; faint images have several likely wrong classes."""
    generator = load(clone, "tools.py")
    for name, largest in (("images", 255), ("faint images", 2)):
        official = partial(_official, generator, largest)
        yield Case(f"rows and labels, {name}", partial(_ours, largest), official, steps=(1,))


def _images(largest: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images with pixels up to `largest`, and their labels."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, largest + 1, (IMAGES, SIDE, SIDE, 1), dtype=np.uint8)
    return pixels, rng.integers(0, ours.CLASSES, IMAGES)


def _ours(largest: int, steps: int) -> State:
    drawn = []
    for rate in RATES:
        rows: list[Probabilities] = []
        with patch.object(instances, "drawn", _kept(rows)):
            labels = instances.corrupt_images(KIND, *_images(largest), ours.CLASSES, rate, SEED)
        drawn.append((rows[0], labels))
    return _state(drawn)


def _kept(rows: list[Probabilities]) -> Any:
    """Return the function that draws labels, which also keeps the rows that it draws from."""
    original = instances.drawn
    return lambda probabilities, seed: (rows.append(probabilities), original(probabilities, seed))[1]


def _state(drawn: list[tuple[Probabilities, Any]]) -> State:
    rows, labels = zip(*drawn, strict=True)
    return {"rows": [torch.tensor(row) for row in rows], "labels": [torch.tensor(np.asarray(row)) for row in labels]}


def _official(definitions: Definitions, largest: int, steps: int, undone: bool) -> State:
    pixels, labels = _images(largest)
    images = [torch.tensor(image.ravel(), dtype=torch.float64) for image in pixels]
    data_set = list(zip(images, labels.tolist(), strict=True))
    drawn = []
    for rate in RATES:
        draws = _Draws(rate)
        definitions.update(np=Replaced(np, random=draws), stats=SimpleNamespace(truncnorm=draws.truncated))
        noisy = needed(definitions, "get_instance_noisy_label")(
            rate, data_set, torch.tensor(labels), ours.CLASSES, SIDE**2, 0.1, SEED
        )
        drawn.append((np.stack(draws.rows[:IMAGES]), noisy))
    return _state(drawn)


class _Draws:
    """What ours draws, in its order: flip probabilities, projections, and one uniform number per label.

    Seeds are spread and spent as in :func:`emlc.noise.instances.corrupt_images`.
    """

    def __init__(self, rate: float) -> None:
        what, draw = (int(part) for part in np.random.SeedSequence(SEED).generate_state(2, np.uint64))
        self.hit, self.projections = (np.random.default_rng(part) for part in np.random.SeedSequence(what).spawn(2))
        self.uniform = iter(np.random.default_rng(draw).random(IMAGES))
        self.rate, self.rows = rate, []

    def truncated(self, low: float, high: float, loc: float, scale: float) -> Any:
        """Return the normal distribution N(loc, scale^2) cut to `low` and `high`, in units of `scale` from `loc`."""
        if not np.allclose([low, high, loc, scale], [-loc / 0.1, (1 - loc) / 0.1, self.rate, 0.1]):
            raise ValueError("another distribution than the one whose draws are at hand")
        return SimpleNamespace(rvs=lambda count: flip_probabilities(count, loc, self.hit))

    def randn(self, *shape: int) -> NDArray[np.float64]:
        """Return the projections of all classes."""
        return self.projections.standard_normal(shape)

    def choice(self, classes: Any, size: int | None = None, p: Any = None) -> Any:
        """Draw a label from its row, or, as the public code does in the end, images that it looks at."""
        if p is None:
            return np.zeros(size, int)
        self.rows.append(np.asarray(p))
        return int(np.searchsorted(np.cumsum(p) / np.sum(p), next(self.uniform), side="right"))

    def seed(self, _: int) -> None:
        """Take no notice: the draws are ours."""
