"""SimCLR (Chen et al., ICML 2020): loss, schedule and recipe of HobbitLong/SupContrast.

The paper starts its CIFAR runs from such encoders (section 4.1) without giving their schedule; the defaults here are
those of the SimCLR command in SupContrast's README.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from emlc.records.errors import SuiteError

BASE_TEMPERATURE = 0.07
"""SupContrast multiplies the loss by temperature / 0.07, and its learning rate is meant for that."""

FINAL_SHARE = 1e-3
"""Of the learning rate, at the end of the cosine."""


@dataclass(frozen=True)
class Recipe:
    """How an encoder is pretrained; a profile's ``pretraining`` block and the facts of its dataset.

    Attributes
    ----------
    model : dict
        ``name`` and options of :func:`emlc.models.build_model`.
    flips : bool
    mean, std : tuple of float
    epochs : int
    seed : int
        Decides initial weights, order and views.
    batch_size : int
        Images per step; the last batch of an epoch holds what is left.
    lr, momentum, weight_decay : float
        Of SGD over encoder and projection head; `lr` is where the cosine starts.
    temperature : float
    warm_up_epochs : int
        Over which the learning rate rises linearly from `warm_up_lr` to the cosine; SupContrast warms up batches of
        more than 256.
    warm_up_lr : float
    size : int or None
        Side of a view; None: that of the images.
    """

    model: dict[str, Any]
    flips: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    epochs: int
    seed: int = 0
    batch_size: int = 1024
    lr: float = 0.5
    momentum: float = 0.9
    weight_decay: float = 1e-4
    temperature: float = 0.5
    warm_up_epochs: int = 10
    warm_up_lr: float = 0.01
    size: int | None = None

    def __post_init__(self) -> None:
        """Refuse a warm-up that never ends."""
        if self.warm_up_epochs > self.epochs:
            raise SuiteError(
                f"pretraining.warm_up_epochs is {self.warm_up_epochs}, more than the {self.epochs} epochs; lower it"
            )


def nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """Return the normalised temperature-scaled Cross-Entropy between two views of each image.

    Every view is an anchor that has to tell its partner from all other views:
    ``(T / 0.07) mean_a -log( exp(<z_a, z_p(a)> / T) / sum_{b != a} exp(<z_a, z_b> / T) )``, the factor being
    SupContrast's.

    Parameters
    ----------
    z1, z2 : Tensor [n, d]
        Projections of unit length.
    temperature : float
        T.

    Returns
    -------
    Tensor
        A scalar.
    """
    projections = torch.cat([z1, z2])
    similarities = projections @ projections.T / temperature
    similarities = similarities.masked_fill(torch.eye(len(projections), dtype=torch.bool, device=z1.device), -math.inf)
    partners = torch.arange(len(projections), device=z1.device).roll(len(z1))
    return temperature / BASE_TEMPERATURE * F.cross_entropy(similarities, partners)


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of a step (0-based, over all epochs): per step in the warm-up, then per epoch.

    In epoch e (1-based) of E the cosine is at ``end + (lr - end) (1 + cos(pi e / E)) / 2`` with
    ``end = lr / 1000``; the warm-up rises to its value in the warm-up's last epoch (SupContrast's ``--cosine``).
    """
    warm_up_steps = recipe.warm_up_epochs * steps_per_epoch
    if step >= warm_up_steps:
        return _cosine(recipe, step // steps_per_epoch + 1)
    rise = _cosine(recipe, recipe.warm_up_epochs) - recipe.warm_up_lr
    return recipe.warm_up_lr + rise * step / warm_up_steps


def _cosine(recipe: Recipe, epoch: int) -> float:
    end = recipe.lr * FINAL_SHARE
    return end + (recipe.lr - end) * (1 + math.cos(math.pi * epoch / recipe.epochs)) / 2
