"""What the engine and a method know of each other.

Most methods train one student on a noisy and a clean batch per step: they are a :class:`StudentMethod` and write
:meth:`~StudentMethod.learn`. Others are a :class:`Method`, hold whatever they need and take their own batches. Two
networks, each of which learns a strong view of the samples that the other one finds credible::

    class Pair(Method):
        def __init__(self, setting, options):
            super().__init__(setting, options)
            self.networks = [setting.build(role) for role in ("first", "second")]
            self.optimisers = [student_sgd(network, setting.training) for network in self.networks]
            size = setting.training.batch_size
            self.streams = [setting.noisy.stream(size, "weak", "strong", name=role) for role in ("first", "second")]

        def begin_epoch(self, epoch):
            super().begin_epoch(epoch)
            for network, stream in zip(self.networks, reversed(self.streams)):
                losses = outputs(network, partial(sample_losses, network), self.setting.noisy)
                stream.over(torch.nonzero(losses <= losses.median()).flatten())

        def steps(self):
            return min(stream.batches_per_pass for stream in self.streams)

        def step(self):
            ...  # for each network: batch = stream.next(); weak, strong = batch.views; loss; optimiser
            return {"first_loss": ..., "second_loss": ...}

        def logits(self, inputs):
            return sum(network(inputs) for network in self.networks)

Everything else follows: the engine finds networks, optimisers, streams, tensors and numbers in attributes, lists,
dictionaries and objects, puts the networks into evaluation mode to score them, and keeps all of it in checkpoints.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from emlc.engine.optimiser import ReplacingSGD
from emlc.engine.samples import Samples
from emlc.engine.setting import Setting, Training
from emlc.engine.state import modes, networks, parts, restored, set_modes, state_of
from emlc.engine.streams import Batch, Stream
from emlc.models.batch_norm import average_statistics
from emlc.records.errors import SuiteError

__all__ = [
    "Batch",
    "Method",
    "Samples",
    "Setting",
    "Stream",
    "StudentMethod",
    "Training",
    "assign_gradient",
    "refuse_nesterov",
    "set_learning_rate",
    "student_sgd",
]


class Method(ABC):
    """Turns samples into a trained model. One subclass per method, in a file of its own.

    A method's module names its subclass ``METHOD``; the subclass names the dataclass of its hyper-parameters
    ``Options``. The engine makes one object per run and calls :meth:`begin_epoch`, :meth:`step` until :meth:`steps` of
    them are taken, :meth:`end_epoch`, and :meth:`logits` to evaluate.

    Attributes
    ----------
    epoch : int
        The one (0-based) that is being trained.
    first_reported : int
        The first epoch whose model may be reported: where the last phase begins, for a method whose earlier phases
        only prepare.
    shared : bool
        Whether several processes can share a training (:mod:`emlc.engine.distributed`); tests show that it is the same.
    learns_from_clean : bool
        Whether the labels of the clean set change what is learned; a record says how many a run was trained on.
    """

    Options: ClassVar[type[Any]]
    shared: ClassVar[bool] = False
    learns_from_clean: bool = True

    def __init__(self, setting: Setting, options: Any) -> None:
        self.setting, self.options = setting, options
        self.epoch = 0
        self.first_reported = 0

    @abstractmethod
    def steps(self) -> int:
        """Return how many steps the epoch has; asked before every step, for a method that learns it on the way."""

    @abstractmethod
    def step(self) -> dict[str, Tensor]:
        """Train on the next batches.

        Returns
        -------
        dict of str to Tensor
            Detached scalars on the device for the history; which ones may differ from step to step. Reading them here
            would make the device wait: the engine reads them once per epoch.
        """

    @abstractmethod
    def logits(self, inputs: Tensor) -> Tensor:
        """Return the reported model's logits [n, C]; called in evaluation mode without gradients."""

    def begin_epoch(self, epoch: int) -> None:
        """Prepare for `epoch` (0-based): all networks in training mode.

        Not called for an epoch that a resumed run goes on with: its networks are back in the modes that they had.
        """
        self.epoch = epoch
        for network in networks(self):
            network.train()

    def end_epoch(self, epoch: int) -> None:  # noqa: B027  (a hook that most methods do not need)
        """Finish `epoch` (0-based), before the evaluation."""

    def state(self) -> dict[str, Any]:
        """Return all that decides the steps to come: every attribute but what the profile gives, and the generators.

        Raises
        ------
        TypeError
            If an attribute is of a type that no checkpoint can hold (:func:`emlc.engine.state.state_of`).
        """
        average_statistics(networks(self))
        held = {name: value for name, value in parts(self).items() if name != "options"}
        return {
            "attributes": {name: state_of(value, name) for name, value in held.items()},
            "modes": modes(self),
            "generators": [generator.get_state() for generator in self._generators()],
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        for name, saved in state["attributes"].items():
            setattr(self, name, restored(getattr(self, name, None), saved, self.setting.device, name))
        set_modes(self, state["modes"])
        for generator, content in zip(self._generators(), state["generators"], strict=True):
            generator.set_state(content)

    def _generators(self) -> tuple[torch.Generator, torch.Generator]:
        return self.setting.generator, self.setting.initial


class StudentMethod(Method):
    """Trains one student by SGD, on a noisy and a clean batch per step: what every method of Table 1 does.

    Attributes
    ----------
    student : nn.Module
        The network that is reported.
    optimiser : torch.optim.Optimizer
        The student's.
    noisy, clean : Stream
        Weakly augmented batches of `batch_size`; a method that wants others replaces them.
    """

    def __init__(self, setting: Setting, options: Any) -> None:
        super().__init__(setting, options)
        self.student = setting.build("student")
        self.optimiser: torch.optim.Optimizer = student_sgd(self.student, setting.training)
        self.noisy = setting.noisy.stream(setting.training.batch_size, "weak")
        self.clean = setting.clean.stream(setting.training.batch_size, "weak")

    @abstractmethod
    def learn(self, noisy: Batch, clean: Batch) -> dict[str, Tensor]:
        """Train on one noisy and one clean batch and return what :meth:`step` does.

        Parameters
        ----------
        noisy : Batch of `batch_size` samples
        clean : Batch of `batch_size` samples (fewer if the clean set is smaller)
        """

    def begin_epoch(self, epoch: int) -> None:
        """Prepare for `epoch` (0-based): training mode, the student's learning rate."""
        super().begin_epoch(epoch)
        set_learning_rate(self.optimiser, self.setting.training.learning_rate(epoch))

    def steps(self) -> int:
        """Return the full noisy batches in one pass."""
        return self.noisy.batches_per_pass

    def step(self) -> dict[str, Tensor]:
        """Learn from the next noisy and the next clean batch."""
        return self.learn(self.noisy.next(), self.clean.next())

    def logits(self, inputs: Tensor) -> Tensor:
        """Return the student's logits [n, C]."""
        return self.student(inputs)


def set_learning_rate(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every parameter group."""
    for group in optimiser.param_groups:
        group["lr"] = lr


def student_sgd(student: nn.Module, training: Training) -> ReplacingSGD:
    """Return the student's optimiser: SGD with momentum and weight decay, as every method of Table 1 uses."""
    return ReplacingSGD(
        student.parameters(),
        lr=training.lr,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        nesterov=training.nesterov,
    )


def refuse_nesterov(training: Training, method: str) -> None:
    """Raise a `SuiteError` for Nesterov momentum, of which a method's look-ahead is not."""
    if training.nesterov:
        raise SuiteError(f"{method} looks ahead by heavy-ball momentum only; set training.nesterov to false")


def assign_gradient(parameter: nn.Parameter, gradient: Tensor) -> None:
    """Set a parameter's gradient in the parameter's own memory layout.

    ``torch.autograd.grad`` may return another one, of convolutions for example, which ``backward()`` converts; the
    fused CPU optimisers read memory in order and would pair the wrong elements.
    """
    parameter.grad = torch.empty_like(parameter).copy_(gradient.detach())
