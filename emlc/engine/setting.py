"""What a method may know about its run."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from emlc.engine.samples import Samples
from emlc.engine.schedules import SCHEDULES
from emlc.models.batch_norm import SYNCHRONISED


@dataclass(frozen=True)
class Training:
    """The part of the recipe that all methods of a profile share.

    Attributes
    ----------
    epochs : int
    batch_size : int
        Of noisy and of clean batches.
    lr, momentum, weight_decay : float
        Of the student's SGD.
    nesterov : bool
        Whether its momentum is Nesterov's.
    schedule : str
        One of :data:`emlc.engine.schedules.SCHEDULES`.
    milestones : tuple of int
        Epochs (0-based) from which ``steps`` multiplies the learning rate by `decay`, once each.
    decay : float
    final_lr : float
        Where ``cosine`` would arrive after the last epoch.
    warm_up_epochs : int
        Over which the learning rate rises from `warm_up_lr`, epoch by epoch, to the schedule's.
    warm_up_lr : float
    precision : str
        One of :data:`emlc.models.precision.PRECISIONS`.
    processes : int
        That share each batch.
    batch_norm : str
        One of :data:`emlc.models.batch_norm.KINDS`: of which samples batch normalisation takes its statistics there.
    """

    epochs: int
    batch_size: int
    lr: float
    momentum: float
    weight_decay: float
    nesterov: bool = False
    schedule: str = "steps"
    milestones: tuple[int, ...] = ()
    decay: float = 0.1
    final_lr: float = 0.0
    warm_up_epochs: int = 0
    warm_up_lr: float = 0.0
    precision: str = "float32"
    processes: int = 1
    batch_norm: str = SYNCHRONISED

    def learning_rate(self, epoch: int) -> float:
        """Return the student's learning rate in `epoch` (0-based); it is constant within an epoch."""
        planned = SCHEDULES[self.schedule]
        if epoch >= self.warm_up_epochs:
            return planned(self, epoch)
        rise = planned(self, self.warm_up_epochs) - self.warm_up_lr
        return self.warm_up_lr + rise * epoch / self.warm_up_epochs


@dataclass(frozen=True)
class Setting:
    """Everything a method may know about its run. True labels of the noisy set are not among it.

    Attributes
    ----------
    num_classes : int
    noisy, clean : Samples
        The large set with its given labels and the small trusted one.
    training : Training
    build : callable
        Maps a role (``student``, ``teacher``, ...) to a network in its initial state: the profile's backbone, with
        pretrained weights where the profile has them. Roles differ in their random classifier only then.
    initial : torch.Generator
        Draws the initial weights of what a method adds to the backbones; on the CPU, so that they are the same on
        every device.
    generator : torch.Generator
        The method's own randomness while training, on `device`.
    device : torch.device
    """

    num_classes: int
    noisy: Samples
    clean: Samples
    training: Training
    build: Callable[[str], nn.Module]
    initial: torch.Generator
    generator: torch.Generator
    device: torch.device
