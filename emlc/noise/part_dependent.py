"""Instance-dependent noise by random projections of the pixels.

Xia et al., NeurIPS 2020, "Part-dependent Label Noise", as the code of the paper generates it
(xiaoboxia/Part-dependent-label-noise); most papers call it "IDN".
"""

import numpy as np
from numpy.typing import NDArray

from emlc.noise.matrices import Labels

RATE_STD = 0.1
"""Standard deviation of the images' flip probabilities, before the cut to [0, 1]."""

Probabilities = NDArray[np.float64]


def part_dependent(
    images: NDArray[np.uint8], labels: Labels, num_classes: int, rate: float, seed: int
) -> Probabilities:
    """Return p(noisy label | image) of part-dependent noise.

    Image x of class y is hit with probability q, drawn from a normal distribution around `rate` cut to [0, 1], and then
    bears class j with probability softmax_j(x W_y), the true class left out. W_y [d, C] is standard normal, one for
    each true class; x are the d pixels, 0 to 255. At that scale the softmax is nearly always one class: an image has
    one wrong class that it may turn into.

    The cut moves the mean of q off `rate` near 0 and 1: nominal 0.1, 0.2, 0.3 are 0.129, 0.206, 0.300.

    Parameters
    ----------
    images : ndarray of uint8 [N, ...]
    labels : ndarray of int64 [N]
        True classes, 0 to C - 1.
    num_classes : int
        C, at least 2.
    rate : float
        In [0, 1].
    seed : int

    Returns
    -------
    ndarray of float64 [N, C]
        Rows sum to 1; 1 - q at the true class.
    """
    hit, projections = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2))
    flips = flip_probabilities(len(labels), rate, hit)
    pixels = images.reshape(len(images), -1).astype(np.float64)
    probabilities = np.empty((len(labels), num_classes))
    for label in range(num_classes):
        members = labels == label
        weights = projections.standard_normal((pixels.shape[1], num_classes))
        wrong = softmax_without(pixels[members] @ weights, label)
        probabilities[members] = flips[members, None] * wrong
        probabilities[members, label] = 1 - flips[members]
    return probabilities


def flip_probabilities(count: int, rate: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw `count` numbers from the normal distribution N(`rate`, 0.1^2) cut to [0, 1]."""
    drawn = rng.normal(rate, RATE_STD, count)
    while (outside := (drawn < 0) | (drawn > 1)).any():
        drawn[outside] = rng.normal(rate, RATE_STD, np.count_nonzero(outside))
    return drawn


def softmax_without(logits: NDArray[np.float64], left_out: int) -> Probabilities:
    """Return the softmax of each row [n, C] over all classes but one, which gets 0."""
    logits = logits.copy()
    logits[:, left_out] = -np.inf
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
