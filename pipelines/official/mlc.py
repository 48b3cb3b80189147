"""MLC: the public code's step, whose meta-gradient comes from a double backward pass."""

import copy
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from pipelines.official import ours
from pipelines.official.backbones import backbone_case
from pipelines.official.clones import Repository
from pipelines.official.comparison import Case, State, momentum_state, network_state
from pipelines.official.networks import WithFeatures, copy_weights
from pipelines.official.source import Definitions, load, needed

REPOSITORY = Repository("microsoft", "MLC", "5747d0b6294550dfbd8229f50d5035a8e3055d61")
TEACHER_LR, EMBEDDING, HIDDEN = 3e-4, 128, 128

STATISTICS = "both passes on the clean batch that evaluates move the student's running statistics"
SWAP = "the double backward pass runs while the student holds the looked-ahead weights"


def cases(clone: Path) -> Iterator[Case]:
    """Yield k = 1 and k = 5, the gated network of Clothing1M, and the student of CIFAR."""
    step, models, losses = load(clone, "mlc.py"), load(clone, "meta_models.py"), load(clone, "mlc_utils.py")
    for k, gated in ((1, False), (5, False), (1, True)):
        options = {"gradient_steps": k, "teacher_lr": TEACHER_LR, "skip": gated}
        official = partial(_official, step, models, losses, options)
        name = f"k = {k}, gated correction network" if gated else f"k = {k}"
        yield Case(name, partial(_ours, options), official, (STATISTICS, SWAP))
    resnet = needed(load(clone, "CIFAR/resnet.py"), "resnet32")
    yield backbone_case("ResNet-32, also MW-Net's", "resnet32", partial(resnet, num_classes=ours.CLASSES))


def _ours(options: dict[str, Any], steps: int) -> State:
    method = ours.make("baselines.mlc", options)
    ours.take(method, steps)
    return _state(method.student, method.optimiser, method.teacher, _pending(options, method.accumulated))


def _official(
    step: Definitions, models: Definitions, losses: Definitions, options: dict[str, Any], steps: int, undone: bool
) -> State:
    initial, recipe = ours.make("baselines.mlc", options), ours.training()
    # As the public script divides a clean batch: its first half evaluates, its second half trains.
    half = len(ours.clean_labels()) // 2
    batches = [(noisy, clean[:half], clean[half:]) for noisy, clean in ours.feed(steps)]
    student = WithFeatures(
        copy.deepcopy(initial.student), tuple(evaluation.inputs for _, evaluation, _ in batches) if undone else ()
    ).train()
    args = SimpleNamespace(skip=options["skip"], tie=False, sparsemax=False)
    teacher = needed(models, "MetaNet")(initial.student.feature_dim, EMBEDDING, HIDDEN, ours.CLASSES, args)
    copy_weights(initial.teacher, list(teacher.parameters()))
    optimiser = torch.optim.SGD(
        student.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    teacher_optimiser = _Restoring(teacher, student) if undone else _adam(teacher)
    args.gradient_steps, args.dw_prev = options["gradient_steps"], [0 for _ in teacher.parameters()]
    for args.steps, (noisy, evaluation, clean) in enumerate(batches):
        needed(step, "step_hmlc_K")(
            student, optimiser, F.cross_entropy, teacher, teacher_optimiser, needed(losses, "soft_cross_entropy"),
            noisy.inputs, noisy.labels, evaluation.inputs, evaluation.labels, clean.inputs, clean.labels,
            recipe.lr, args,
        )  # fmt: skip
        if undone:
            teacher_optimiser.remember()
    return _state(student, optimiser, teacher, _pending(options, args.dw_prev))


def _pending(options: dict[str, Any], accumulated: list[Tensor]) -> list[Tensor]:
    """Return the meta-gradient that waits for the next update; for k = 1 none does."""
    return accumulated if options["gradient_steps"] > 1 else []


def _state(student: Any, optimiser: Any, teacher: Any, pending: list[Tensor]) -> State:
    state = {
        **network_state("student", student),
        **momentum_state("student", optimiser, list(student.parameters())),
        **network_state("correction network", teacher),
    }
    return state | ({"accumulated meta-gradient": [value.clone() for value in pending]} if pending else {})


def _adam(teacher: torch.nn.Module) -> torch.optim.Adam:
    return torch.optim.Adam(teacher.parameters(), lr=TEACHER_LR, amsgrad=True)


class _Restoring:
    """The correction network's optimiser, which puts the student's weights back before the double backward pass.

    The official step calls `zero_grad` just before it, with the looked-ahead weights in the student.
    """

    def __init__(self, teacher: torch.nn.Module, student: torch.nn.Module) -> None:
        self.inner = _adam(teacher)
        self.student = student
        self.step: Callable[[], Any] = self.inner.step
        self.remember()

    def remember(self) -> None:
        """Note the student's weights."""
        self.before = [value.detach() for value in self.student.parameters()]

    def zero_grad(self) -> None:
        """Restore the weights, then do what the optimiser does."""
        for parameter, value in zip(self.student.parameters(), self.before, strict=True):
            parameter.data = value
        self.inner.zero_grad()
