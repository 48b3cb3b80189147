"""Groups of processes for tests: started once, they train what they are told, by gloo on the CPU in float64."""

import itertools
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn import functional as F

from emlc.engine import run
from emlc.engine.contract import Method, Training
from emlc.engine.keepers import Checkpoints
from emlc.engine.loop import train
from emlc.engine.recipe import Recipe
from emlc.engine.trial import ARRAYS, CPU, SPEC
from emlc.engine.views import build_views
from emlc.metagrad import rules
from emlc.models import batch_norm, processes
from emlc.tasks.draw import make_task

TASK = make_task(ARRAYS, SPEC.__class__(**{**vars(SPEC), "clean_per_class": 4}), None, 0)
"""60 noisy and 20 clean images of five classes."""

Patch = Callable[[], Any]
"""Returns a context in which something is missing."""


@dataclass(frozen=True)
class Case:
    """A training of some steps."""

    implementation: str
    options: dict[str, Any] = field(default_factory=dict)
    batch_size: int = 8
    batch_norm: str = "synchronised"
    steps: int = 20

    def method(self, processes: int) -> Method:
        return run.build_method(self.recipe(processes), TASK, ARRAYS, CPU)

    def recipe(self, processes: int) -> Recipe:
        training = Training(
            1,
            self.batch_size,
            lr=0.05,
            momentum=0.9,
            weight_decay=5e-4,
            processes=processes,
            batch_norm=self.batch_norm,
        )
        return Recipe(
            implementation=self.implementation,
            options=self.options,
            training=training,
            model={"name": "cnn-small", "width": 4},
            order="reshuffled",
            crop_padding=1,
            flips=False,
            mean=(0.3,),
            std=(0.4,),
            seed=0,
        )


def trained(case: Case, processes: int) -> dict[str, Tensor]:
    """Everything that decides the steps to come, after the case's steps by this process (and the others)."""
    method = case.method(processes)
    method.begin_epoch(0)
    for _ in range(case.steps):
        method.step()
    return dict(tensors(method.state()))


def tensors(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor and number of a nested state, by name."""
    if isinstance(value, Tensor):
        yield name, value.detach().clone()
    elif isinstance(value, dict):
        for key, held in value.items():
            yield from tensors(held, f"{name}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for key, held in enumerate(value):
            yield from tensors(held, f"{name}.{key}")
    elif isinstance(value, int | float):
        yield name, torch.tensor(value)


def history(case: Case, processes: int, path: Path | None = None, stop: int = -1) -> tuple[list[Any], list[Any]]:
    """Epochs and steps of a training of two epochs; one process alone is asked to stop after so many steps."""
    keeper = None
    if path is not None:
        steps = itertools.count()
        first = not dist.is_initialized() or dist.get_rank() == 0
        keeper = Checkpoints(path, {}, 1e9, stopped=lambda: next(steps) == stop and first)
    scored = run.build_scored(case.recipe(processes), TASK, ARRAYS, CPU)
    done = train(case.method(processes), scored, 2, keeper=keeper)
    return done.epochs, done.steps


def leaves_the_others() -> str:
    """The second process goes away while the first one waits for it."""
    if dist.get_rank() == 1:
        return "left"
    return str(processes.total(torch.ones(3)))


def names() -> list[str]:
    """What each process names, united."""
    return processes.united(["all's", f"{dist.get_rank()}'s"])


# What can be left out


@contextmanager
def no_hook(name: str) -> Iterator[None]:
    """An optimiser of the method steps by its own process's gradients."""

    def hooked(method: Method) -> None:
        average(method)
        vars(method)[name]._optimizer_step_pre_hooks.clear()

    average = run.average_gradients
    with mock.patch.object(run, "average_gradients", hooked):
        yield


class _Alone:
    """:mod:`emlc.models.processes` as one process has it, but for the number."""

    count, rank, whole, share = processes.count, processes.rank, staticmethod(lambda n: n), staticmethod(lambda n: n)
    averaged = staticmethod(tuple)
    total = gathered = part = staticmethod(lambda values: values)
    positions = staticmethod(lambda size, device: torch.arange(size, device=device))


def alone_in(module: str) -> Any:
    """One module talks to no other process."""
    return mock.patch.object(import_module(module), "processes", _Alone)


@contextmanager
def local_tangents() -> Iterator[None]:
    """The tape's tangents of synchronised batch normalisation are sums over this process's samples."""
    rule = rules.RULES[batch_norm.synchronised_batch_norm]

    def local(*arguments: Any) -> Tensor:
        with alone_in("emlc.models.batch_norm"), mock.patch.object(_Alone, "count", staticmethod(lambda: 1)):
            return rule(*arguments)

    with mock.patch.dict(rules.RULES, {batch_norm.synchronised_batch_norm: local}):
        yield


@contextmanager
def local_jvp() -> Iterator[None]:
    """The same of dual numbers."""
    jvp = batch_norm._Normalise.jvp

    def local(*arguments: Any) -> Any:
        with alone_in("emlc.models.batch_norm"), mock.patch.object(_Alone, "count", staticmethod(lambda: 1)):
            return jvp(*arguments)

    with mock.patch.object(batch_norm._Normalise, "jvp", staticmethod(local)):
        yield


@contextmanager
def float64() -> Iterator[None]:
    """Networks, images and all that is computed of them in double precision."""

    def views(recipe: Recipe) -> dict[str, Any]:
        return {name: _Double(view) for name, view in build_views(recipe).items()}

    torch.set_default_dtype(torch.float64)
    try:
        with mock.patch.object(run, "build_views", views):
            yield
    finally:
        torch.set_default_dtype(torch.float32)


class _Double:
    def __init__(self, view: Any) -> None:
        self.view = view

    def __call__(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        return self.view(images, generator).double()


@contextmanager
def shards(count: int) -> Iterator[None]:
    """One process that normalises the shards of a batch separately, as if each belonged to another process."""

    def forward(layer: nn.BatchNorm2d, inputs: Tensor) -> Tensor:
        if not layer.training:
            return plain(layer, inputs)
        layer.num_batches_tracked.add_(1)
        kept = [(layer.running_mean.clone(), layer.running_var.clone()) for _ in range(count)]
        pieces = [
            F.batch_norm(inputs[shard::count], *kept[shard], layer.weight, layer.bias, True, layer.momentum, layer.eps)
            for shard in range(count)
        ]
        means, variances = zip(*kept, strict=True)
        layer.running_mean.copy_(torch.stack(means).mean(0))
        layer.running_var.copy_(torch.stack(variances).mean(0))
        return torch.stack(pieces, dim=1).flatten(0, 1)

    plain = nn.BatchNorm2d.forward
    with mock.patch.object(nn.BatchNorm2d, "forward", forward):
        yield


class Group:
    """Processes that wait for work."""

    def __init__(self, size: int, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.folder, self.numbers = folder, itertools.count()
        self.ends, self.members = [], []
        for rank in range(size):
            here, there = context.Pipe()
            self.ends.append(here)
            self.members.append(context.Process(target=serve, args=(rank, there), daemon=True))
            self.members[-1].start()

    def __call__(self, count: int, work: Callable[..., Any], *arguments: Any, patch: Patch | None = None) -> list[Any]:
        """What `count` of the processes return for a piece of work; an exception as its text."""
        store = str(self.folder / f"store{next(self.numbers)}")
        for end in self.ends[:count]:
            end.send((store, count, patch, work, arguments))
        return [end.recv() for end in self.ends[:count]]

    def close(self) -> None:
        for end, member in zip(self.ends, self.members, strict=True):
            end.send(None)
            member.join()


def serve(rank: int, end: Connection) -> None:
    """Do what comes through a pipe, until None does."""
    torch.set_num_threads(1)
    while (job := end.recv()) is not None:
        store, count, patch, work, arguments = job
        dist.init_process_group("gloo", store=dist.FileStore(store, count), rank=rank, world_size=count)
        dist.barrier()  # work that fails at once would leave while others are still connecting
        try:
            with float64(), patch() if patch else nullcontext():
                result = work(*arguments)
        except Exception as error:
            result = f"{type(error).__name__}: {error}"
        dist.destroy_process_group()
        end.send(result)
