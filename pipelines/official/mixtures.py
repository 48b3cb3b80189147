"""Scikit-learn's mixture for official functions, which notes what it is fitted to and starts where ours does."""

from typing import Any

import numpy as np
from torch import Tensor


def mixtures(fitted: list[Tensor]) -> type:
    """Return scikit-learn's mixture, which notes in `fitted` the losses [N] that it is fitted to.

    It starts from the tightest two clusters, as ours: where k-means ends if its random start is a good one.
    """
    from sklearn.mixture import GaussianMixture

    class Noting(GaussianMixture):
        def fit(self, values: Tensor) -> Any:
            fitted.append(values.flatten().clone())
            self.set_params(**_components(_tightest(values.numpy()), self.reg_covar))
            return super().fit(values)

    return Noting


def _tightest(values: Any) -> tuple[Any, Any]:
    """Return the two clusters [n, 1] of values [N, 1] with the least sum of squares."""
    ordered = np.sort(values, axis=0)
    splits = [(ordered[:count], ordered[count:]) for count in range(1, len(ordered))]
    return min(splits, key=lambda clusters: sum(len(cluster) * cluster.var() for cluster in clusters))


def _components(clusters: tuple[Any, Any], added: float) -> dict[str, Any]:
    """Return what a mixture of two clusters starts with; `added` to its variances."""
    sizes = np.array([len(cluster) for cluster in clusters])
    return {
        "weights_init": sizes / sizes.sum(),
        "means_init": np.array([cluster.mean(axis=0) for cluster in clusters]),
        "precisions_init": np.array([[[1 / (cluster.var() + added)]] for cluster in clusters]),
    }
