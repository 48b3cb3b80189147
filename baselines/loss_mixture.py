"""Which samples' losses are low: a mixture of two normal distributions in one dimension."""

import math

import torch
from torch import Tensor

ITERATIONS = 10
TOLERANCE = 1e-2
FLOOR = 5e-4
"""Largest number of EM steps, the gain of the mean log-likelihood at which they end, and what is added to variances:
LiJunnan1992/DivideMix's settings of scikit-learn's ``GaussianMixture``."""


def low_loss_probability(losses: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """Return each sample's probability of belonging to the component with the lower mean.

    The EM algorithm from the best split into two clusters. Computed on the CPU in float64, so that every device
    divides a set alike; scikit-learn's ``GaussianMixture`` gives the same where its random k-means finds that split.

    Parameters
    ----------
    losses : Tensor [N]
        Scaled to [0, 1] (:func:`scaled`), which the tolerances are meant for.
    iterations : int
        Largest number of EM steps.

    Returns
    -------
    Tensor [N]
        On the device and of the type of `losses`.
    """
    values = losses.detach().double().cpu()
    components, before = _maximised(values, _best_split(values)), -math.inf
    for _ in range(iterations):
        responsibilities, likelihood = _expected(values, components)
        components = _maximised(values, responsibilities)
        if abs(likelihood - before) < TOLERANCE:
            break
        before = likelihood
    responsibilities, _ = _expected(values, components)
    return responsibilities[:, components[1].argmin()].to(losses)


def scaled(losses: Tensor) -> Tensor:
    """Return losses [N] mapped to [0, 1], the smallest and the largest to the ends; zeros if all are equal."""
    losses = losses - losses.min()
    return losses / losses.max().clamp(min=torch.finfo(losses.dtype).tiny)


def _best_split(values: Tensor) -> Tensor:
    """Return one-hot memberships [N, 2] of the two clusters with the least sum of squares."""
    ordered, order = values.sort(stable=True)
    below = torch.arange(1, len(values), dtype=values.dtype)
    sums = ordered.cumsum(0)
    above = len(values) - below
    between = sums[:-1] ** 2 / below + (sums[-1] - sums[:-1]) ** 2 / above
    count = int(between.argmax()) + 1 if len(values) > 1 else 1
    memberships = values.new_zeros(len(values), 2)
    memberships[order[:count], 0] = 1
    memberships[order[count:], 1] = 1
    return memberships


def _maximised(values: Tensor, responsibilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return weights, means and variances [2] of the components."""
    counts = responsibilities.sum(0) + 10 * torch.finfo(values.dtype).eps
    means = responsibilities.T @ values / counts
    deviations = (values[:, None] - means) ** 2
    variances = (responsibilities * deviations).sum(0) / counts + FLOOR
    return counts / counts.sum(), means, variances


def _expected(values: Tensor, components: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, float]:
    """Return responsibilities [N, 2] and the mean log-likelihood."""
    weights, means, variances = components
    squares = (values[:, None] - means) ** 2 / variances
    joint = weights.log() - 0.5 * (squares + variances.log() + math.log(2 * math.pi))
    total = joint.logsumexp(dim=1, keepdim=True)
    return (joint - total).exp(), total.mean().item()
