"""How faithful each meta-gradient is: against the exact unrolled one in float64, on a student trained for a while."""

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from emlc.judging.cells import noise_name
from emlc.records.artefacts import atomic_path, write_text
from emlc.records.errors import SuiteError
from pipelines.machine.cli import Parser, at_least, run
from pipelines.machine.devices import open_device, use_reproducible_kernels
from pipelines.profile.load import load_settings
from pipelines.profile.settings import DEFAULT_PROFILE, SIMCLR, Run, Settings, method_settings, run_spec

if TYPE_CHECKING:
    import torch

    from emlc.engine.contract import Batch
    from emlc.metagrad import Window
    from emlc.method import EMLC

EXACT, REFERENCE = "unrolled", "fpmg"
LOOK_AHEADS = (1, 2, 5, 10)
MEASURES = ("cosine", "label_cosine", "relative_error", "norm_ratio", "times_fpmg", "ms")
STEPS_BETWEEN_DRAWS = 5
REPEATS = 3
"""Calls of which the fastest counts."""


def prepared(
    settings: Settings, which: Run, data: Path, task_file: Path, pretrained: Path | None = None, *, momentum: float
) -> "EMLC":
    """Return a run's method, in float64 and with the student's momentum set to `momentum`.

    Raises
    ------
    SuiteError
        As :func:`pipelines.experiment.opened` does; or if the method is no EMLC.
    """
    from emlc.engine.run import build_method
    from pipelines.experiment import opened

    _, _, arrays, _, task, recipe = opened(settings, which, data, task_file, pretrained)
    recipe = replace(recipe, training=replace(recipe.training, momentum=momentum))
    device = open_device("cpu", settings["threads"])
    method = build_method(recipe, task, arrays, device)
    if not hasattr(method, "meta_gradient"):
        raise SuiteError(f"{which.method} is no EMLC: it has no meta-gradient to choose; name one as --method")
    method.student.double()
    method.teacher.double()
    method.begin_epoch(0)
    return method


def train_for(method: "EMLC", steps: int) -> None:
    """Let `method` take `steps` of its own steps."""
    for _ in range(steps):
        method.learn(_double(method.noisy.next()), _double(method.clean.next()))


def _double(batch: "Batch") -> "Batch":
    return replace(batch, views=tuple(view.double() for view in batch.views))


def real_window(method: "EMLC", noisy: "Sequence[Batch]", clean: "Batch") -> "Window":
    """Return the window of one real student step per noisy batch, taken by a copy of the method's student.

    Its soft targets are attached to the teacher's graph.
    """
    from emlc.engine.contract import student_sgd
    from emlc.metagrad import Window, clean_feedback

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


def _velocity(optimiser: "torch.optim.Optimizer", value: "torch.Tensor") -> "torch.Tensor":
    buffer = optimiser.state[value].get("momentum_buffer")
    return value.new_zeros(value.shape) if buffer is None else buffer.clone()


def _real_step(student: Any, optimiser: Any, teacher: Any, batch: "Batch") -> Any:
    from torch.nn import functional as F

    from emlc.metagrad import Step
    from emlc.metagrad.tape import Tape

    params = {name: value.detach().clone() for name, value in student.named_parameters()}
    soft_targets = teacher(batch.inputs, batch.labels).soft_targets
    tape = Tape(student)
    with tape:
        logits = student(batch.inputs)
    optimiser.zero_grad()
    F.cross_entropy(logits, soft_targets.detach()).backward()
    optimiser.step()
    return Step(params, batch.inputs, soft_targets, partial(tape.jvp, logits, params))


def compare(window: "Window", teacher: Any) -> Iterator[dict[str, Any]]:
    """Yield one row per meta-gradient: how it lies to the exact one, and the milliseconds that it took.

    ``cosine``, ``relative_error`` and ``norm_ratio`` are those of the teacher's gradient; ``label_cosine`` is that of
    the derivatives by the soft labels, less each sample's mean over classes, which moves nothing.
    """
    import torch

    from emlc.metagrad import META_GRADIENTS

    results = {name: _timed(partial(meta_gradient, window)) for name, meta_gradient in META_GRADIENTS.items()}
    truth, true_labels = (of(results[EXACT][0], window, teacher) for of in (_by_teacher, _by_labels))
    for name, (gradients, ms) in results.items():
        by_teacher, by_labels = (of(gradients, window, teacher) for of in (_by_teacher, _by_labels))
        yield {
            "meta_gradient": name,
            "cosine": torch.cosine_similarity(by_teacher, truth, dim=0).item(),
            "label_cosine": torch.cosine_similarity(by_labels, true_labels, dim=0).item(),
            "relative_error": ((by_teacher - truth).norm() / truth.norm()).item(),
            "norm_ratio": (by_teacher.norm() / truth.norm()).item(),
            "times_fpmg": ms / results[REFERENCE][1],
            "ms": ms,
        }


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - started)
    return result, 1000 * min(seconds)


def _by_teacher(gradients: Any, window: "Window", teacher: Any) -> "torch.Tensor":
    import torch

    from emlc.metagrad import surrogate_loss

    loss = surrogate_loss(gradients, [step.soft_targets for step in window.steps])
    parts = torch.autograd.grad(loss, tuple(teacher.parameters()), retain_graph=True, materialize_grads=True)
    return torch.cat([part.flatten() for part in parts])


def _by_labels(gradients: Any, window: "Window", teacher: Any) -> "torch.Tensor":
    import torch

    rows = torch.cat(gradients)
    return (rows - rows.mean(dim=1, keepdim=True)).flatten()


def draws(method: "EMLC", k: int, count: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of `count` windows of k steps, the method training on between them; memory by the first."""
    import torch

    from emlc.metagrad import META_GRADIENTS
    from pipelines.machine.stopwatch import peak_bytes

    for number in range(count + 1):
        train_for(method, STEPS_BETWEEN_DRAWS)
        window = real_window(method, [_double(method.noisy.next()) for _ in range(k)], _double(method.clean.next()))
        if number == 0:  # warms up, too
            memory = {
                name: peak_bytes(partial(meta_gradient, window), torch.device("cpu")) / 2**20
                for name, meta_gradient in META_GRADIENTS.items()
            }
            continue
        for row in compare(window, method.teacher):
            yield {"k": k, "draw": number - 1, **row, "peak_mib": memory[row["meta_gradient"]]}


def panel(prepare: "Callable[..., EMLC]", momentum: float, warm_up: int, count: int) -> pd.DataFrame:
    """Return every draw of every look-ahead, with the run's momentum and without.

    Parameters
    ----------
    prepare : callable
        :func:`prepared` for the run, but for its keyword `momentum`.
    momentum : float
        The run's.
    warm_up : int
        Steps of the method before the first window.
    count : int
        Windows for each look-ahead.
    """
    rows = []
    for value in (momentum, 0.0):
        method = prepare(momentum=value)
        train_for(method, warm_up)
        for k in LOOK_AHEADS:
            rows.extend({"momentum": value, **row} for row in draws(method, k, count))
    return pd.DataFrame(rows)


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Return medians and quartiles over draws, one row per momentum, look-ahead and meta-gradient."""
    groups = rows.groupby(["momentum", "k", "meta_gradient"], sort=False)
    table = groups.agg(n=("draw", "count"), peak_mib=("peak_mib", "first"))
    for name in MEASURES:
        table[name] = groups[name].median()
        for suffix, share in (("q1", 0.25), ("q3", 0.75)):
            table[f"{name}_{suffix}"] = groups[name].quantile(share)
    return table.reset_index()


HEAD = """\
# Meta-gradients against the exact one

Every meta-gradient of `emlc.metagrad` against `unrolled`, which differentiates the clean loss through the student's k
real optimiser steps: {label} on {where}, {model} student from {start}, batches of {batch}, learning rate {lr}, weight
decay {decay}, after {steps} of its own steps, everything in float64. n = {n} windows, {between} steps of the method
apart; medians, in brackets the quartiles.

- *cosine*, *relative error*, *norm ratio*: of the gradient that the teacher gets.
- *label cosine*: of the derivatives by each soft label, the mean over classes taken off. It tells whether each sample
  gets its own signal.
- *times fpmg*, *ms*: the call alone, {threads} thread(s), the fastest of {repeats}, on passes that the student's own
  steps have recorded; the ratio is taken within a window. *MiB*: peak of tensors above what is alive before the call.
"""


def page(table: pd.DataFrame, facts: dict[str, Any]) -> str:
    """Return the panel as Markdown, a table per momentum and look-ahead."""
    parts = [HEAD.format(**facts)]
    for (momentum, k), rows in table.groupby(["momentum", "k"], sort=False):
        names = {"cosine": ".4f", "label_cosine": ".3f", "relative_error": ".2g", "norm_ratio": ".3f"}
        names |= {"times_fpmg": ".2f", "ms": ".2f"}
        shown = pd.DataFrame({"meta-gradient": rows["meta_gradient"].map("`{}`".format)})
        for name, form in names.items():
            triples = zip(*(rows[column] for column in (name, f"{name}_q1", f"{name}_q3")), strict=True)
            title = name.replace("_", " ")
            shown[title] = [f"{middle:{form}} [{low:{form}}, {high:{form}}]" for middle, low, high in triples]
        shown["MiB"] = rows["peak_mib"].map("{:.2f}".format)
        parts.append(f"## k = {k}, momentum {momentum:g}\n\n{shown.to_markdown(index=False, disable_numparse=True)}\n")
    return "\n".join(parts)


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    parser = Parser("pipelines.metagrad", description=__doc__)
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile files")
    parser.add_argument("--data", type=Path, required=True, help="prepared arrays (pipelines.prepare)")
    parser.add_argument("--task", type=Path, required=True, help="task (pipelines.inject)")
    parser.add_argument("--pretrained", type=Path, help="encoder of a method that starts from SimCLR")
    parser.add_argument("--method", default="emlc-k1", help="a key of the profile's methods or variants, an EMLC")
    parser.add_argument("--warm-up", type=at_least(0), default=150, help="steps of the method before the first window")
    parser.add_argument("--draws", type=at_least(1), default=10, help="windows for each look-ahead")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder for metagrad.csv and metagrad.md")
    args = parser.parse_args(argv)
    use_reproducible_kernels()
    settings = load_settings(args.config)
    from emlc.tasks.draw import load_task

    task = load_task(args.task)
    which = Run(args.method, task.dataset, task.kind, task.rate, task.seed)
    facts = _facts(settings, which, args.warm_up, args.draws)
    prepare = partial(prepared, settings, which, args.data, args.task, args.pretrained)
    momentum = run_spec(settings, which)["training"]["momentum"]
    table = summarise(panel(prepare, momentum, args.warm_up, args.draws))
    with atomic_path(args.out / "metagrad.csv") as path:
        table.round(9).to_csv(path, index=False, lineterminator="\n")
    write_text(args.out / "metagrad.md", page(table, facts))
    return 0


def _facts(settings: Settings, which: Run, steps: int, count: int) -> dict[str, Any]:
    spec = run_spec(settings, which)
    return {
        "label": method_settings(settings, which.method)["label"],
        "where": f"{which.dataset}, {noise_name(which.noise, which.rate)}",
        "model": spec["model"]["name"],
        "start": "a SimCLR encoder" if spec["initialisation"] == SIMCLR else "scratch",
        "batch": spec["training"]["batch_size"],
        "lr": spec["training"]["lr"],
        "decay": spec["training"]["weight_decay"],
        "steps": steps,
        "n": count,
        "between": STEPS_BETWEEN_DRAWS,
        "repeats": REPEATS,
        "threads": spec["threads"],
    }


if __name__ == "__main__":
    run(main)
