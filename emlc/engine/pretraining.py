"""SimCLR pretraining: an encoder from images alone, by the recipe of :mod:`emlc.engine.simclr`."""

import math
import time
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from emlc.data.augment import SimCLRView
from emlc.engine.checkpoints import CheckpointFile
from emlc.engine.contract import set_learning_rate
from emlc.engine.history import History
from emlc.engine.loop import NEVER_RIGHT
from emlc.engine.samples import Foresighted, Images
from emlc.engine.simclr import Recipe, learning_rate, nt_xent
from emlc.models import Backbone
from emlc.models.projector import Projector, build_projector
from emlc.records.errors import DivergenceError
from emlc.tasks.seeds import derive_seed


class Pretrained(NamedTuple):
    """What pretraining leaves.

    Attributes
    ----------
    encoder : Backbone
        Its classifier is untrained.
    head : nn.Sequential
        The projection head.
    history : History
        Whose epochs have a mean ``loss``.
    """

    encoder: Backbone
    head: nn.Sequential
    history: History

    @property
    def losses(self) -> list[float]:
        """Mean loss of each epoch."""
        return [row["loss"] for row in self.history.epochs]


def pretrain(
    images: Tensor | Images, recipe: Recipe, device: torch.device, kept: CheckpointFile | None = None
) -> Pretrained:
    """Pretrain an encoder on images without labels.

    On CUDA the networks run in bfloat16 (autocast), the loss in float32.

    Parameters
    ----------
    images : Tensor of uint8 [N, C, H, W]
        All training images; square, moved to `device` as they are. Or a source of them that is on `device` already.
    recipe : Recipe
    device : torch.device
    kept : CheckpointFile, optional
        Where the pretraining is kept, and gone on from.

    Returns
    -------
    Pretrained
        On `device`. The same on every call on the CPU, for the same number of threads, whether or not it was killed
        and went on.

    Raises
    ------
    DivergenceError
        If an epoch's loss is not finite.
    Interrupted
        If the process has been asked to stop and `kept` heeds it.
    SuiteError
        If the model does not exist.
    """
    work, history = _Pretraining(images, recipe, device), History()
    state = None if kept is None else kept.read(history, device)
    if state is not None:
        work.load_state(state)
    progress = tqdm(range(len(history.epochs), recipe.epochs), desc="SimCLR", unit="epoch", disable=None)
    for epoch in progress:
        loss = _train_epoch(work, history, kept)
        history.epochs.append({"epoch": epoch, "loss": loss})
        progress.set_postfix(loss=loss)
        if kept is not None:
            kept.epoch_done(work, history)
    return Pretrained(work.projector.encoder, work.projector.head, history)


class _Pretraining:
    """A pretraining under way: all that decides its steps to come."""

    def __init__(self, images: Tensor | Images, recipe: Recipe, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.images = images.to(device) if isinstance(images, Tensor) else images
        initial = torch.Generator().manual_seed(derive_seed("initial weights", "pretraining", recipe.seed))
        self.projector = build_projector(recipe.model, images.shape[1], initial).to(device)
        if device.type == "cuda":
            self.projector.to(memory_format=torch.channels_last)
        self.optimiser = torch.optim.SGD(
            self.projector.trained(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
        self.view = SimCLRView(recipe.size or images.shape[2], recipe.flips, recipe.mean, recipe.std)
        self.generator = torch.Generator(device).manual_seed(derive_seed("pretraining", recipe.seed))
        self.order = torch.empty(0, dtype=torch.int64)

    def shuffle(self) -> None:
        """Draw an epoch's order."""
        self.order = torch.randperm(self.images.shape[0], generator=self.generator, device=self.device)

    def announce(self, taken: int) -> None:
        """Say which batches are left of an epoch: images on disk are decoded ahead."""
        if isinstance(self.images, Foresighted):
            self.images.expect(self, self.order.split(self.recipe.batch_size)[taken:])

    def step(self, epoch: int, number: int) -> Tensor:
        """Take a step (0-based, within its epoch) and return its loss."""
        batches = self.order.split(self.recipe.batch_size)
        rate = learning_rate(self.recipe, epoch * len(batches) + number, len(batches))
        set_learning_rate(self.optimiser, rate)
        views = self.view(self.images[batches[number]].repeat(2, 1, 1, 1), self.generator)
        return _step(self.projector, self.optimiser, views, self.recipe.temperature)

    def state(self) -> dict[str, Any]:
        """Return what :meth:`load_state` restores."""
        return {
            "projector": self.projector.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "order": self.order,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        self.projector.load_state_dict(state["projector"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.order = state["order"].to(self.device)


def _train_epoch(work: _Pretraining, history: History, kept: CheckpointFile | None) -> float:
    """Train for one epoch, or what is left of it, and return its mean loss; the device is waited for at the end."""
    epoch, started = len(history.epochs), time.perf_counter() - history.begun_seconds
    if not history.begun:
        work.shuffle()
    work.announce(len(history.begun))
    for number in range(len(history.begun), math.ceil(work.images.shape[0] / work.recipe.batch_size)):
        history.begun.append({"loss": work.step(epoch, number)})
        history.begun_seconds = time.perf_counter() - started
        if kept is not None:
            kept.step_done(work, history)
    loss = torch.stack([row["loss"] for row in history.begun]).mean().item()
    if not math.isfinite(loss):
        at_once = epoch == 0 and not math.isfinite(history.begun[0]["loss"].item())
        advice = NEVER_RIGHT if at_once else "lower pretraining.lr"
        raise DivergenceError(f"the SimCLR loss is {loss} in epoch {epoch}; {advice}")
    history.seconds.append(time.perf_counter() - started)
    history.begun, history.begun_seconds = [], 0.0
    return loss


def _step(projector: Projector, optimiser: torch.optim.Optimizer, views: Tensor, temperature: float) -> Tensor:
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
