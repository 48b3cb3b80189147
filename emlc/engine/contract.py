"""What the engine and a method know of each other."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from emlc.engine.optimiser import ReplacingSGD


@dataclass(frozen=True)
class Batch:
    """Augmented samples of one set.

    Attributes
    ----------
    inputs : Tensor [n, C, H, W] of float
    labels : Tensor [n] of int64
        Noisy labels for the noisy set, true ones for the clean set.
    indices : Tensor [n] of int64
        Each sample's position in its set.
    """

    inputs: Tensor
    labels: Tensor
    indices: Tensor


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
    milestones : tuple of int
        Epochs (0-based) from which the learning rate is multiplied by `decay`, once each.
    decay : float
    precision : str
        One of :data:`emlc.models.precision.PRECISIONS`.
    """

    epochs: int
    batch_size: int
    lr: float
    momentum: float
    weight_decay: float
    milestones: tuple[int, ...] = ()
    decay: float = 0.1
    precision: str = "float32"

    def learning_rate(self, epoch: int) -> float:
        """Return the student's learning rate in `epoch` (0-based)."""
        return self.lr * self.decay ** sum(epoch >= milestone for milestone in self.milestones)


@dataclass(frozen=True)
class Setting:
    """Everything a method may know about its run. True labels of the noisy set are not among it.

    Attributes
    ----------
    num_classes : int
    noisy_labels : Tensor [N] of int64
        The given labels of the noisy set, in its order.
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
    noisy_labels: Tensor
    training: Training
    build: Callable[[str], nn.Module]
    initial: torch.Generator
    generator: torch.Generator
    device: torch.device


class Method(ABC):
    """Turns batches into a trained student. One subclass per method, in a file of its own.

    A method's module names its subclass ``METHOD``; the subclass names the dataclass of its hyper-parameters
    ``Options``. The engine makes one object per run and calls :meth:`begin_epoch`, :meth:`step` once per noisy batch
    (or per `look_ahead` noisy batches), :meth:`end_epoch`, and :meth:`logits` to evaluate.

    Attributes
    ----------
    student : nn.Module
        The network that is reported.
    optimiser : torch.optim.Optimizer
        The student's; the engine reads nothing from it.
    look_ahead : int
        How many noisy batches one :meth:`step` gets, concatenated.
    class_balanced : bool
        Whether clean batches hold every class equally often (FasTEN) or are shuffled passes over the clean set.
    auto_augments : bool
        Whether clean batches of RGB images go through AutoAugment (EMLC).
    """

    Options: ClassVar[type[Any]]
    class_balanced: ClassVar[bool] = False
    auto_augments: ClassVar[bool] = False

    student: nn.Module
    optimiser: torch.optim.Optimizer

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.look_ahead = 1

    @abstractmethod
    def step(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Train on one noisy and one clean batch.

        Parameters
        ----------
        noisy : Batch of `look_ahead` * `batch_size` samples
        clean : Batch of `batch_size` samples (fewer if the clean set is smaller)

        Returns
        -------
        dict of str to Tensor
            Detached scalars on the device for the history, always the same keys. Reading them here would make
            the device wait: the engine reads them once per epoch.
        """

    def begin_epoch(self, epoch: int) -> None:
        """Prepare for `epoch` (0-based): training mode, learning rate."""
        self.student.train()
        set_learning_rate(self.optimiser, self.setting.training.learning_rate(epoch))

    def end_epoch(self, epoch: int) -> None:  # noqa: B027  (a hook that most methods do not need)
        """Finish `epoch` (0-based), before the evaluation."""

    def logits(self, inputs: Tensor) -> Tensor:
        """Return the reported model's logits [n, C]; called in evaluation mode without gradients."""
        return self.student(inputs)

    def state(self) -> dict[str, Any]:
        """Return all that a resumed run needs besides the generators: modules, optimisers, memories, counters.

        Every attribute but ``setting``, ``options``, ``look_ahead`` and functions, which the profile decides.

        Raises
        ------
        TypeError
            If an attribute is of a type that no checkpoint can hold: a run that goes on without it would be another.
        """
        return {name: _state_of(name, value) for name, value in vars(self).items() if not _is_constant(name, value)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        for name, value in state.items():
            current = getattr(self, name)
            if hasattr(current, "load_state_dict"):
                current.load_state_dict(value)
            else:
                setattr(self, name, _on(self.setting.device, value))


_CONSTANTS = ("setting", "options", "look_ahead")


def _is_constant(name: str, value: Any) -> bool:
    return name in _CONSTANTS or (callable(value) and not hasattr(value, "state_dict"))


def _state_of(name: str, value: Any) -> Any:
    if hasattr(value, "state_dict"):
        return value.state_dict()
    if not _is_plain(value):
        raise TypeError(f"attribute {name} is a {type(value).__name__}, which no checkpoint can hold")
    return value


def _is_plain(value: Any) -> bool:
    """Whether a value is a tensor, number or text, or lists, tuples and dictionaries of them."""
    if isinstance(value, dict):
        return all(map(_is_plain, (*value.keys(), *value.values())))
    if type(value) in (list, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, Tensor | bool | int | float | str)


def _on(device: torch.device, value: Any) -> Any:
    """Return a plain value with all its tensors on a device."""
    if isinstance(value, dict):
        return {key: _on(device, part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_on(device, part) for part in value)
    return value.to(device) if isinstance(value, Tensor) else value


def set_learning_rate(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every parameter group."""
    for group in optimiser.param_groups:
        group["lr"] = lr


def student_sgd(student: nn.Module, training: Training) -> ReplacingSGD:
    """Return the student's optimiser: SGD with momentum and weight decay, as every method of Table 1 uses."""
    return ReplacingSGD(
        student.parameters(), lr=training.lr, momentum=training.momentum, weight_decay=training.weight_decay
    )


def assign_gradient(parameter: nn.Parameter, gradient: Tensor) -> None:
    """Set a parameter's gradient in the parameter's own memory layout.

    ``torch.autograd.grad`` may return another one, of convolutions for example, which ``backward()`` converts; the
    fused CPU optimisers read memory in order and would pair the wrong elements.
    """
    parameter.grad = torch.empty_like(parameter).copy_(gradient.detach())
