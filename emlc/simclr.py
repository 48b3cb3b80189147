"""SimCLR pretraining (Chen et al., ICML 2020): an encoder from images alone, by the recipe of HobbitLong/SupContrast.

The paper starts its CIFAR runs from such encoders (section 4.1) without giving their schedule; the defaults here are
those of the SimCLR command in SupContrast's README.
"""

import math
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from emlc.augment import SimCLRView
from emlc.engine.contract import set_learning_rate
from emlc.errors import DivergenceError, SuiteError
from emlc.models import Backbone, build_model, initialise
from emlc.seeds import derive_seed

BASE_TEMPERATURE = 0.07
"""SupContrast multiplies the loss by temperature / 0.07, and its learning rate is meant for that."""

PROJECTION_DIM = 128
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

    def __post_init__(self) -> None:
        """Refuse a warm-up that never ends."""
        if self.warm_up_epochs > self.epochs:
            raise SuiteError(
                f"pretraining.warm_up_epochs is {self.warm_up_epochs}, more than the {self.epochs} epochs; lower it"
            )


class Pretrained(NamedTuple):
    """What pretraining leaves.

    Attributes
    ----------
    encoder : Backbone
        Its classifier is untrained.
    head : nn.Sequential
        The projection head.
    losses : list of float
        Mean loss of each epoch.
    seconds : list of float
        Wall time of each epoch.
    """

    encoder: Backbone
    head: nn.Sequential
    losses: list[float]
    seconds: list[float]


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


def pretrain(images: Tensor, recipe: Recipe, device: torch.device) -> Pretrained:
    """Pretrain an encoder on images without labels.

    On CUDA the networks run in bfloat16 (autocast), the loss in float32.

    Parameters
    ----------
    images : Tensor of uint8 [N, C, H, W]
        All training images; square, moved to `device` as they are.
    recipe : Recipe
    device : torch.device

    Returns
    -------
    Pretrained
        On `device`. The same on every call on the CPU, for the same number of threads.

    Raises
    ------
    DivergenceError
        If an epoch's loss is not finite.
    SuiteError
        If the model does not exist.
    """
    projector = _projector(recipe, images.shape[1]).to(device)
    if device.type == "cuda":
        projector.to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(
        _trained(projector), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    generator = torch.Generator(device).manual_seed(derive_seed("pretraining", recipe.seed))
    resident = images.to(device)
    losses: list[float] = []
    seconds: list[float] = []
    progress = tqdm(range(recipe.epochs), desc="SimCLR", unit="epoch", disable=None)
    for epoch in progress:
        started = time.perf_counter()
        losses.append(_train_epoch(projector, optimiser, resident, recipe, epoch, generator))
        seconds.append(time.perf_counter() - started)
        progress.set_postfix(loss=losses[-1])
    return Pretrained(projector.encoder, projector.head, losses, seconds)


class _Projector(nn.Module):
    """Encoder and projection head: images to vectors of unit length."""

    def __init__(self, encoder: Backbone, head: nn.Sequential) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Return float32 projections [n, d]."""
        return F.normalize(self.head(self.encoder.features(images)).float(), dim=1)


def _projector(recipe: Recipe, channels: int) -> _Projector:
    """Return encoder and projection head with weights drawn on the CPU, the same for every device."""
    generator = torch.Generator().manual_seed(derive_seed("initial weights", "pretraining", recipe.seed))
    options = {key: value for key, value in recipe.model.items() if key != "name"}
    encoder = build_model(recipe.model["name"], 1, channels, generator, **options)
    dim = encoder.feature_dim
    layers = nn.utils.skip_init(nn.Linear, dim, dim), nn.ReLU(), nn.utils.skip_init(nn.Linear, dim, PROJECTION_DIM)
    head = nn.Sequential(*layers)
    initialise(head, generator)
    return _Projector(encoder, head)


def _trained(projector: _Projector) -> list[nn.Parameter]:
    return [value for name, value in projector.named_parameters() if not name.startswith("encoder.classifier.")]


def _train_epoch(
    projector: _Projector,
    optimiser: torch.optim.Optimizer,
    images: Tensor,
    recipe: Recipe,
    epoch: int,
    generator: torch.Generator,
) -> float:
    """Train for one epoch and return its mean loss; the device is waited for once, at the end."""
    view = SimCLRView(images.shape[2], recipe.flips, recipe.mean, recipe.std)
    batches = torch.randperm(len(images), generator=generator, device=images.device).split(recipe.batch_size)
    losses = []
    for number, batch in enumerate(batches):
        set_learning_rate(optimiser, learning_rate(recipe, epoch * len(batches) + number, len(batches)))
        views = view(images[batch].repeat(2, 1, 1, 1), generator)
        losses.append(_step(projector, optimiser, views, recipe.temperature))
    loss = torch.stack(losses).mean().item()
    if not math.isfinite(loss):
        raise DivergenceError(f"the SimCLR loss is {loss} in epoch {epoch}; lower pretraining.lr")
    return loss


def _step(projector: _Projector, optimiser: torch.optim.Optimizer, views: Tensor, temperature: float) -> Tensor:
    """Take one SGD step on views [2n, C, H, W], the second of each image n places after the first."""
    on_gpu = views.is_cuda
    with torch.autocast(views.device.type, dtype=torch.bfloat16, enabled=on_gpu):
        inputs = views.contiguous(memory_format=torch.channels_last) if on_gpu else views
        z1, z2 = projector(inputs).chunk(2)
    loss = nt_xent(z1, z2, temperature)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss.detach()
