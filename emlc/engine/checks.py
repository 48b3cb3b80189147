"""Checks of anybody's method against the contract, on a tiny task: the ones that the suite's own methods pass."""

import dataclasses
import math
import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from emlc.engine.contract import Method
from emlc.engine.evaluation import outputs
from emlc.engine.history import History
from emlc.engine.keepers import Checkpoints
from emlc.engine.run import method_class, parse_options
from emlc.engine.trial import CLASSES, CPU, TASK, Trial
from emlc.engine.waits import noted_waits
from emlc.records.errors import Interrupted

Check = Callable[[Trial], str | None]
"""Returns what is wrong with a method, or None."""


class Finding(NamedTuple):
    """What one check found: the fault, or None."""

    check: str
    fault: str | None


def check_method(trial: Trial) -> Iterator[Finding]:
    """Yield one finding per check; after a breach of the contract itself there are no others."""
    for name, check in CHECKS.items():
        try:
            fault = check(trial)
        except Exception as error:  # whatever somebody's method raises
            fault = f"{type(error).__name__}: {error}"
        yield Finding(name, fault)
        if name == "contract" and fault:
            return


def keeps_the_contract(trial: Trial) -> str | None:
    """Options are a frozen dataclass, metrics detached scalars on the device, logits [n, C]; labels stay as given."""
    cls = method_class(trial.implementation)
    if not (isinstance(cls, type) and issubclass(cls, Method)):
        return "METHOD is no subclass of emlc.engine.contract.Method"
    if not dataclasses.is_dataclass(cls.Options) or not cls.Options.__dataclass_params__.frozen:
        return "Options is no frozen dataclass"
    parse_options(cls.Options, trial.options, trial.implementation)
    method = trial.method()
    method.begin_epoch(0)
    if not isinstance(method.steps(), int):
        return f"steps() is {method.steps()!r}, not a whole number"
    return _fault_of_metrics(method.step()) or _fault_of_logits(method) or _fault_of_labels(method)


def _fault_of_metrics(metrics: Any) -> str | None:
    if not isinstance(metrics, dict):
        return f"step() returns a {type(metrics).__name__}, not a dictionary of metrics"
    for name, value in metrics.items():
        if not isinstance(value, Tensor) or value.shape != () or value.requires_grad:
            return f"metric {name} is no detached scalar tensor"
        if value.device != CPU:
            return f"metric {name} is on {value.device}, not on the method's device"
    return None


def _fault_of_logits(method: Method) -> str | None:
    shape = tuple(outputs(method, lambda batch: method.logits(batch.inputs), method.setting.clean).shape)
    wanted = (len(method.setting.clean), CLASSES)
    return None if shape == wanted else f"logits of {wanted[0]} images have the shape {shape}, not {wanted}"


def _fault_of_labels(method: Method) -> str | None:
    same = torch.equal(method.setting.noisy.labels, torch.tensor(TASK.noisy_labels))
    return None if same else "the given labels of the noisy set are written to; copy them first"


def repeats_itself(trial: Trial) -> str | None:
    """Two runs are equal."""
    return _difference(trial.history, trial.run())


def resumes(trial: Trial) -> str | None:
    """A run that is killed several times an epoch and after it, and goes on each time, is the run left in peace."""
    history, kills = None, 0
    with tempfile.TemporaryDirectory() as folder:
        while history is None:
            try:
                history = trial.run(_Fragile(Path(folder) / "run.pt"))
            except Interrupted:
                kills += 1
    return _difference(trial.history, history, f"killed {kills} times and resumed, ")


class _Fragile(Checkpoints):
    """Ends the process, with a checkpoint, after every epoch and after steps 1, 5, 9, ... of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, {}, minutes=math.inf, stopped=lambda: self.ending)
        self.ending = False

    def after_step(self, method: Method, history: History) -> None:
        self.ending = len(history.begun) % 4 == 1
        super().after_step(method, history)

    def after_epoch(self, method: Method, history: History) -> None:
        self.ending = True
        super().after_epoch(method, history)


def uses_its_own_generators(trial: Trial) -> str | None:
    """The global generators of Python, numpy and torch are neither used nor touched."""
    with _global_generators(1):
        before = _states()
        history = trial.run()
        used = [name for name, state in _states().items() if state != before[name]]
    if used:
        return f"draws from the global generator of {', '.join(used)}; use setting.generator or setting.initial"
    return _difference(trial.history, history, "with global generators seeded otherwise, ")


def _states() -> dict[str, Any]:
    arrays = np.random.get_state()
    states = {"random": random.getstate(), "numpy": (arrays[1].tolist(), arrays[2:])}
    return states | {"torch": torch.get_rng_state().tolist()}


@contextmanager
def _global_generators(seed: int) -> Iterator[None]:
    """Seed all global generators and put them back afterwards."""
    saved = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(saved[0]), np.random.set_state(saved[1]), torch.set_rng_state(saved[2])


def tells_what_it_learns_from(trial: Trial) -> str | None:
    """Other clean labels make another run if, and only if, the method says that it learns from them."""
    task = dataclasses.replace(TASK, clean_labels=np.roll(TASK.clean_labels, 1))
    changed = dataclasses.replace(trial, task=task).run().steps != trial.history.steps
    if changed == trial.method().learns_from_clean:
        return None
    what = "what" if changed else "nothing that"
    return f"other clean labels change {what} is learned: say learns_from_clean = {changed}"


def never_waits(trial: Trial) -> str | None:
    """No step reads what a tensor holds, but for at most one an epoch, in which a method may regroup its samples."""
    method = trial.method()
    for epoch in range(trial.epochs):
        method.begin_epoch(epoch)
        waits, taken = [], 0
        while taken < method.steps():
            with noted_waits() as places:
                method.step()
            waits += places[:1]
            taken += 1
        method.end_epoch(epoch)
        if len(waits) > 1:
            return f"{len(waits)} of {taken} steps of epoch {epoch} make a GPU wait, the first at {waits[0]}"
    return None


def _difference(one: History, other: History, how: str = "") -> str | None:
    """Return where two histories part."""
    for name in ("steps", "epochs"):
        for row, twin in zip(getattr(one, name), getattr(other, name), strict=True):
            if row != twin or list(row) != list(twin):
                place = f"epoch {row['epoch']}" + (f", step {row['step']}" if name == "steps" else "")
                column = next((key for key in row if row[key] != twin.get(key)), "columns")
                return f"{how}a run differs from the first in {place}: {column} {row.get(column)}, {twin.get(column)}"
    return None


CHECKS: dict[str, Check] = {
    "contract": keeps_the_contract,
    "determinism": repeats_itself,
    "resume": resumes,
    "clean labels": tells_what_it_learns_from,
    "global randomness": uses_its_own_generators,
    "host synchronisation": never_waits,
}
"""What is checked -> how."""
