"""How far a case's meta-gradient is from the same formula in float64."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from emlc.metagrad import Params, Step, Window, clean_feedback, surrogate_loss
from emlc.metagrad.forward import taped
from emlc.method import EMLC
from pipelines.bench.cases import Case, Workload

DRAWS = 5


class Errors(NamedTuple):
    """Relative errors of the teacher's meta-gradient, medians over draws."""

    plain: float
    """Against float64 as it is."""
    same_signs: float
    """Against float64 with every ReLU open for the same samples: what arithmetic alone accounts for. NaN for the
    meta-gradients that pass through the student once more, unwatched."""


OF_PRODUCTS = ("fpmg", "fpmg-momentum", "fpmg-flat-momentum", "fpmg-released")
"""The meta-gradients that are made of Jacobian-vector products at the steps' own passes, and of nothing else."""


def meta_gradient_errors(workload: Workload, case: Case) -> Errors | None:
    """Return how far EMLC's meta-gradient is from the same formula in float64; None for what is not EMLC.

    The weights before and after every step are those of the measured precision (of ``unrolled``, before the first); all
    that the meta-gradient is made of (the feedback, the Jacobian-vector products, the teacher's backward pass) is
    computed anew.

    A pre-activation within rounding of zero may open its ReLU in one precision and not in the other. Among millions
    that happens to a few, and moves any derivative by about a thousandth however exactly it is computed.
    """
    if case.method is not EMLC:
        return None
    errors = [_errors(workload, case, seed) for seed in range(DRAWS)]
    return Errors(*map(median, zip(*errors, strict=True)))


def _errors(workload: Workload, case: Case, seed: int) -> Errors:
    method, noisy, clean = workload.case(case, seed)
    signs = Signs()
    with signs:
        soft_targets = method.teach(noisy, clean)[0]
        window = method.student_steps(noisy, clean, soft_targets)[0]
    value = _teacher_gradient(method, window)
    exact = replace(workload, precision="float64")
    truths = [_in_float64(exact, case, seed, window, watch) for watch in (nullcontext(), SameSigns(signs.open))]
    plain, same_signs = (float((value - truth).norm() / truth.norm()) for truth in truths)
    watched = case.options.get("meta_gradient", "fpmg") in OF_PRODUCTS
    return Errors(plain, same_signs if watched else math.nan)


def _in_float64(exact: Workload, case: Case, seed: int, window: Window, watch: AbstractContextManager[Any]) -> Tensor:
    """Return the meta-gradient of a window whose weights are given, all else in float64."""
    method, noisy, clean = exact.case(case, seed)
    student = method.student
    steps = []
    with watch:
        soft_targets = method.teach(noisy, clean)[0]
        for given, inputs, targets in zip(
            window.steps, noisy.inputs.chunk(len(soft_targets)), soft_targets, strict=True
        ):
            params = _double(given.params)
            for name, parameter in student.named_parameters():
                parameter.data = params[name]
            steps.append(Step(params, inputs, targets, taped(student, params, inputs)[1]))
        final = _double(window.final)
        feedback = clean_feedback(student, final, clean.inputs, clean.labels)[1]
    velocity = _double(window.velocity)
    exact_window = replace(
        window,
        student=student,
        steps=tuple(steps),
        final=final,
        feedback=feedback,
        clean_inputs=clean.inputs,
        velocity=velocity,
    )
    return _teacher_gradient(method, exact_window)


def _double(params: Params) -> Params:
    return {name: value.detach().double() for name, value in params.items()}


def _teacher_gradient(method: EMLC, window: Window) -> Tensor:
    soft_targets = [step.soft_targets for step in window.steps]
    meta = surrogate_loss(method.meta_gradient(window), soft_targets)
    gradients = torch.autograd.grad(meta, tuple(method.teacher.parameters()), materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in gradients]).double()


class Signs(TorchFunctionMode):
    """Notes which units each ReLU lets through, call by call."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[Tensor] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the call; of a ReLU, keep where it is positive."""
        output = func(*args, **(kwargs or {}))
        if func is F.relu:
            self.open.append(output > 0)
        return output


class SameSigns(TorchFunctionMode):
    """Lets each ReLU pass the units that it passed before, in the order of the calls."""

    def __init__(self, open_units: Sequence[Tensor]) -> None:
        super().__init__()
        self._open: Iterator[Tensor] = iter(open_units)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the call; of a ReLU, with the given units open: their output is positive and their slope one."""
        if func is not F.relu:
            return func(*args, **(kwargs or {}))
        inputs, units = args[0], next(self._open)
        number = torch.finfo(inputs.dtype)
        # Above zero by more than the sum's rounding: a zero would be closed to a tangent.
        barely = 8 * number.eps * inputs.abs() + number.tiny
        lifted = inputs + torch.where(inputs > 0, 0.0, barely - inputs).detach()
        return torch.where(units, lifted, 0.0)
