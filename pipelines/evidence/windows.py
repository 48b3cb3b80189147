"""A run in float64, and real windows of its student's steps: what meta-gradients are compared on."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from emlc.engine.contract import Batch, student_sgd
from emlc.engine.run import build_method
from emlc.metagrad import Step, Window, clean_feedback
from emlc.metagrad.tape import Tape
from emlc.method import EMLC
from emlc.records.errors import SuiteError
from emlc.records.store import Order
from pipelines.machine.devices import open_device
from pipelines.training.runs import opened


def prepared(run: Order, momentum: float) -> EMLC:
    """Return a run's method, in float64 and with the student's momentum set to `momentum`.

    Raises
    ------
    SuiteError
        As :func:`pipelines.training.runs.opened` does; or if the method is no EMLC.
    """
    arrays, _, task, recipe = opened(run)
    recipe = replace(recipe, training=replace(recipe.training, momentum=momentum))
    device = open_device("cpu", run.identity["threads"])
    method = build_method(recipe, task, arrays, device)
    if not isinstance(method, EMLC):
        raise SuiteError(f"{recipe.implementation} is no EMLC: it has no meta-gradient to choose; name one as method")
    method.student.double()
    method.teacher.double()
    method.begin_epoch(0)
    return method


def train_for(method: EMLC, steps: int) -> None:
    """Let `method` take `steps` of its own steps."""
    for _ in range(steps):
        method.learn(double(method.noisy.next()), double(method.clean.next()))


def double(batch: Batch) -> Batch:
    """Return a batch with its images in float64."""
    return replace(batch, views=tuple(view.double() for view in batch.views))


def real_window(method: EMLC, noisy: Sequence[Batch], clean: Batch) -> Window:
    """Return the window of one real student step per noisy batch, taken by a copy of the method's student.

    Its soft targets are attached to the teacher's graph.
    """
    student = copy.deepcopy(method.student)
    optimiser = student_sgd(student, method.setting.training)
    optimiser.load_state_dict(copy.deepcopy(method.optimiser.state_dict()))  # else they would share velocities
    group = optimiser.param_groups[0]
    velocity = {name: _velocity(optimiser, value) for name, value in student.named_parameters()}
    steps = tuple(_real_step(student, optimiser, method.teacher, batch) for batch in noisy)
    final = {name: value.detach().clone() for name, value in student.named_parameters()}
    return Window(
        student=student,
        steps=steps,
        final=final,
        feedback=clean_feedback(student, final, clean.inputs, clean.labels)[1],
        clean_inputs=clean.inputs,
        clean_labels=clean.labels,
        lr=group["lr"],
        momentum=group["momentum"],
        weight_decay=group["weight_decay"],
        velocity=velocity,
    )


def _velocity(optimiser: torch.optim.Optimizer, value: Tensor) -> Tensor:
    buffer = optimiser.state[value].get("momentum_buffer")
    return value.new_zeros(value.shape) if buffer is None else buffer.clone()


def _real_step(student: nn.Module, optimiser: torch.optim.Optimizer, teacher: nn.Module, batch: Batch) -> Step:
    params = {name: value.detach().clone() for name, value in student.named_parameters()}
    soft_targets = teacher(batch.inputs, batch.labels).soft_targets
    tape = Tape(student)
    with tape:
        logits = student(batch.inputs)
    optimiser.zero_grad()
    F.cross_entropy(logits, soft_targets.detach()).backward()
    optimiser.step()
    return Step(params, batch.inputs, soft_targets, partial(tape.jvp, logits, params))
