"""Noise that depends on the image: by kind, the probabilities of every image's labels, and drawing from them."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from emlc.noise.margins import KEEPS, margin_noise
from emlc.noise.matrices import Labels, check_rate, checked_labels
from emlc.noise.part_dependent import Probabilities, part_dependent
from emlc.records.errors import SuiteError


def _margin(
    kind: str, images: NDArray[np.uint8], labels: Labels, num_classes: int, rate: float, _: int
) -> Probabilities:
    return margin_noise(kind, images, labels, num_classes, rate)


_PROBABILITIES: Mapping[str, Callable[[NDArray[np.uint8], Labels, int, float, int], Probabilities]] = {
    "idn-part-dependent": part_dependent,
    **{kind: partial(_margin, kind) for kind in KEEPS},
}

INSTANCE_KINDS = tuple(_PROBABILITIES)
"""Names of the noise kinds that :func:`corrupt_images` knows."""


def corrupt_images(
    kind: str, images: NDArray[np.uint8], labels: Labels, num_classes: int, rate: float, seed: int
) -> Labels:
    """Draw every label anew from what its image makes likely, independently.

    Parameters
    ----------
    kind : str
        One of :data:`INSTANCE_KINDS`: ``idn-part-dependent`` (:mod:`emlc.noise.part_dependent`), ``pmd-type1``,
        ``pmd-type2``, ``pmd-type3`` (:mod:`emlc.noise.margins`).
    images : ndarray of uint8 [N, ...]
    labels : array of int [N]
        True classes.
    num_classes : int
        C, at least 2.
    rate : float
        Share of wrong labels, in [0, 1]; what it means exactly is the kind's.
    seed : int

    Returns
    -------
    ndarray of int64 [N]

    Raises
    ------
    SuiteError
        If the kind is unknown, a number is out of range, images and labels do not fit, or the rate is out of the
        kind's reach.
    """
    if kind not in _PROBABILITIES:
        raise SuiteError(f"unknown noise kind {kind!r}; known: {', '.join(INSTANCE_KINDS)}")
    if num_classes < 2:
        raise SuiteError(f"label noise needs at least 2 classes, there are {num_classes}")
    check_rate(rate)
    labels = checked_labels(labels, num_classes)
    if len(images) != len(labels):
        raise SuiteError(f"{len(images)} images for {len(labels)} labels")
    what, draw = (int(part) for part in np.random.SeedSequence(seed).generate_state(2, np.uint64))
    return drawn(_PROBABILITIES[kind](images, labels, num_classes, rate, what), draw)


def drawn(probabilities: Probabilities, seed: int) -> Labels:
    """Draw one class from each row of `probabilities` [N, C]; never one that has probability 0."""
    cumulative = np.cumsum(probabilities, axis=1)
    # Divided by the last sum, each row ends in exactly 1, which no draw in [0, 1) reaches.
    cumulative /= cumulative[:, -1:]
    uniform = np.random.default_rng(seed).random(len(probabilities))
    return np.argmax(cumulative > uniform[:, None], axis=1)
