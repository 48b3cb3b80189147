"""Instance-dependent noise that grows where two classes are close (Zhang et al., ICLR 2021, "PMD noise").

"Learning with Feature-Dependent Label Noise: A Progressive Approach", its three polynomial-margin types, as the code of
the paper generates them (pxiangwu/PLC). Two things differ. The posterior is a multinomial logistic regression on the
pixels instead of a network, so that the labels do not depend on a GPU. The factor of the noise level, which the authors
set by hand for each of their rates, is solved for, so that any rate can be asked for.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emlc.noise.matrices import Labels
from emlc.noise.part_dependent import Probabilities
from emlc.records.errors import SuiteError

WEIGHT_DECAY = 1 / 200
"""lambda of the logistic regression: mean cross-entropy + lambda / 2 ||W||^2, pixels from 0 to 1.

Of 1/2, 1/20, 1/200 and 1/2000 the one that predicts the test set of Clothes (Fashion-MNIST, part) best (83 % right).
"""

# 1 - tau of the margin D, as coefficients of 1, D, D^2, D^3 (Zhang et al., section 4).
KEEPS: Mapping[str, tuple[float, ...]] = {
    "pmd-type1": (1 / 2, 0, 1 / 2, 0),
    "pmd-type2": (0, 0, 0, 1),
    "pmd-type3": (0, 1 / 3, 1 / 3, 1 / 3),
}
"""Polynomial, lowest power first, whose value at the margin says how likely the first class stays, by noise kind."""

_FACTORS = 2.0**-40, 2.0**40
_HALVINGS = 100


class Contest(NamedTuple):
    """The two most probable classes of each image, and by how much the first leads.

    Attributes
    ----------
    first, second : ndarray of int64 [N]
    margin : ndarray of float64 [N]
        Difference of their probabilities, 0 to 1.
    """

    first: Labels
    second: Labels
    margin: NDArray[np.float64]


def margin_noise(kind: str, images: NDArray[np.uint8], labels: Labels, num_classes: int, rate: float) -> Probabilities:
    """Return p(noisy label | image) of a polynomial-margin type.

    An image bears the first class of :func:`posterior` with probability ``(1 - tau) / factor``, else the second. The
    first class is what the regression says, not the truth. The factor makes the expected share of labels that differ
    from the truth `rate`.

    Parameters
    ----------
    kind : str
        Key of :data:`KEEPS`.
    images : ndarray of uint8 [N, ...]
    labels : ndarray of int64 [N]
        True classes; the regression is fitted to them.
    num_classes : int
        C, at least 2.
    rate : float
        In [0, 1].

    Returns
    -------
    ndarray of float64 [N, C]
        Rows sum to 1, at most two entries of each are above 0.

    Raises
    ------
    SuiteError
        If no factor gives this rate: it is below the regression's error, or above that of its second guess.
    """
    contest = contest_of(posterior(images, labels, num_classes))
    keep = np.polynomial.polynomial.polyval(contest.margin, KEEPS[kind])
    share = first_share(keep, factor_for(kind, contest, keep, labels, rate))
    probabilities = np.zeros((len(labels), num_classes))
    at = np.arange(len(labels))
    probabilities[at, contest.first] = share
    probabilities[at, contest.second] = 1 - share
    return probabilities


def posterior(images: NDArray[np.uint8], labels: Labels, num_classes: int) -> Probabilities:
    """Return eta(x) [N, C], p(class | image) by a multinomial logistic regression fitted to these very images.

    Raises
    ------
    SuiteError
        If there are fewer than two classes among the labels.
    """
    # Late, so that a machine that only trains needs no scikit-learn.
    from sklearn.linear_model import LogisticRegression

    present = np.unique(labels)
    if len(present) < 2:
        raise SuiteError("margin noise needs images of at least 2 classes")
    pixels = images.reshape(len(images), -1) / 255
    fit = LogisticRegression(C=1 / (WEIGHT_DECAY * len(labels)), solver="newton-cg", tol=1e-8, max_iter=1000)
    eta = np.zeros((len(labels), num_classes))
    eta[:, present] = fit.fit(pixels, labels).predict_proba(pixels)
    return eta


def contest_of(eta: Probabilities) -> Contest:
    """Return the two most probable classes of each image; of equal ones the lower class comes first."""
    ranked = np.argsort(-eta, axis=1, kind="stable")
    at = np.arange(len(eta))
    first, second = ranked[:, 0], ranked[:, 1]
    return Contest(first, second, eta[at, first] - eta[at, second])


def first_share(keep: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Return the probability [N] that an image bears its first class: ``(1 - tau) / factor``, at most 1."""
    return np.minimum(keep / factor, 1)


def factor_for(kind: str, contest: Contest, keep: NDArray[np.float64], labels: Labels, rate: float) -> float:
    """Return the factor at which the expected share of wrong labels is `rate`, by bisection.

    Raises
    ------
    SuiteError
        If there is none.
    """

    def wrong(factor: float) -> float:
        share = first_share(keep, factor)
        return float(np.mean(share * (contest.first != labels) + (1 - share) * (contest.second != labels)))

    low, high = _FACTORS
    if not wrong(low) <= rate <= wrong(high):
        reach = f"{wrong(low):.4f} to {wrong(high):.4f}"
        raise SuiteError(f"noise {kind} cannot have rate {rate:g}: on these images its rates go from {reach}")
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if wrong(middle) < rate else (low, middle)
    return high
