"""What runs and pretrainings compute, found by real steps of them on a few random images. This is where torch comes in.

The floating-point operations of a step grow with its images and with their pixels, so that a step on four images of 8x8
pixels tells those of any; how many kernels it calls depends on neither. A method may do other things in other epochs: a
few of them, evenly spread over the run, are looked at.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from emlc.data.base import Arrays
from emlc.engine.contract import Method
from emlc.engine.evaluation import evaluating
from emlc.engine.pretraining import pretrain
from emlc.engine.run import build_method
from emlc.engine.simclr import Recipe as SimCLR
from emlc.tasks.draw import TaskSpec, make_task
from pipelines.planning.disk import Images
from pipelines.training.runs import build_recipe

CPU = torch.device("cpu")
CLASSES = 2
BATCHES = 10
"""Noisy batches of an epoch here: a multiple of every look-ahead in use."""
SAMPLED = 8
"""Epochs of a run that are looked at, at most."""
REPEATED = 2
"""Calls that are timed."""
SCORED = 1000
"""Images that are scored at once."""


class Work(NamedTuple):
    """What something computes: an amount that grows with images and pixels, and one that every call costs alike.

    :func:`operations` counts floating-point operations and kernels, :func:`core_seconds` measures seconds and nothing.
    """

    pixels: float
    calls: float


Meter = Callable[[Callable[[], object]], Work]


class _Counter(TorchDispatchMode):
    """Counts the operators that PyTorch calls and, by its formulas, their floating-point operations.

    PyTorch's own counter tells them by module too, which takes twice as long.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops, self.calls = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given, formula = kwargs or {}, flop_registry.get(func.overloadpacket)
        if formula is None and torch.is_inference_mode_enabled():  # where operators come with their parts inside
            with self:
                parts = func.decompose(*args, **given)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **given)
        self.calls += 1
        self.flops += formula(*args, **given, out_val=out) if formula else 0
        return out


def operations(work: Callable[[], object]) -> Work:
    """Return the floating-point operations of a function, and the kernels that it calls."""
    with _Counter() as counter:
        work()
    return Work(float(counter.flops), float(counter.calls))


def core_seconds(work: Callable[[], object]) -> Work:
    """Return how long a function keeps one core of the CPU busy, whatever else the machine does: after a first call."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        work()
        started = time.process_time()
        for _ in range(REPEATED):
            work()
        return Work((time.process_time() - started) / REPEATED, 0.0)
    finally:
        torch.set_num_threads(threads)


class Scale(NamedTuple):
    """On what work is looked at: batches of so many images of so many pixels in height and width."""

    batch: int
    side: int


SMALL, PHOTOGRAPHS = Scale(batch=4, side=8), Scale(batch=4, side=32)
"""Where arithmetic is counted; networks for photographs halve them five times."""

TINY = {"name": "cnn-small", "width": 4}
"""A network that takes whole epochs, to see how many steps they have."""

ALIKE = 0.2
"""Up to such a share, two epochs differ by what chance made of their samples, and not by their phase."""

IN_MEMORY = {"preprocessing": None, "passes": {"name": "all", "images": None}}
"""Random images are neither decoded nor chosen among."""


def run_work(identity: Mapping[str, Any], images: Images, meter: Meter = operations, scale: Scale = SMALL) -> Work:
    """Return what a run computes: all its epochs, with the scores on test images after each.

    Parameters
    ----------
    identity : mapping
        Of the run (:meth:`pipelines.workflow.steps.Steps.run`).
    images : Images
    meter : callable
    scale : Scale
    """
    method, epochs = miniature(identity, scale), identity["training"]["epochs"]
    looked_at = sampled_epochs(epochs)
    batch, tiny = identity["training"]["batch_size"], {**identity, "model": TINY}

    def work_of(epoch: int) -> Work:
        return _epoch(method, epoch, images, batch, meter, scale, lambda: walked(tiny, epoch, scale.batch))

    parts = between(looked_at, work_of)
    return Work(*(sum(amounts) * epochs / len(parts) for amounts in zip(*parts, strict=True)))


def sampled_epochs(epochs: int) -> list[int]:
    """Return the epochs (0-based) of a run that are looked at: the middle ones of equal parts."""
    count = min(SAMPLED, epochs)
    return [int((part + 0.5) * epochs / count) for part in range(count)]


def between(epochs: Sequence[int], work_of: Callable[[int], Work]) -> list[Work]:
    """Return the work of some epochs, looking at the first, the middle and the last, and between two that differ.

    Those between two of about the same arithmetic are taken for the same.
    """
    known, middle = cache(work_of), len(epochs) // 2
    return [*_upto(epochs[: middle + 1], known), *_upto(epochs[middle:], known), known(epochs[-1])]


def _upto(epochs: Sequence[int], known: Callable[[int], Work]) -> list[Work]:
    """Return the work of all epochs but the last."""
    first, last, middle = known(epochs[0]), known(epochs[-1]), len(epochs) // 2
    if len(epochs) <= 2 or math.isclose(first.pixels, last.pixels, rel_tol=ALIKE):
        return [first, *[last] * (len(epochs) - 2)][: len(epochs) - 1]
    return [*_upto(epochs[: middle + 1], known), *_upto(epochs[middle:], known)]


def miniature(identity: Mapping[str, Any], scale: Scale) -> Method:
    """Return a run's method in its initial state, on random images: some noisy batches, a clean one."""
    training = {**identity["training"], "batch_size": scale.batch}
    recipe = build_recipe({**identity, **IN_MEMORY, "training": training, "seed": 0})
    arrays = _random(scale.batch * (BATCHES + 1), scale.side, len(identity["mean"]))
    spec = TaskSpec(
        dataset="synthetic",
        data_sha256="0" * 64,
        kind="sym",
        rate=0.5,
        sampling="per-label",
        split="balanced",
        clean_per_class=scale.batch // CLASSES,
    )
    return build_method(recipe, make_task(arrays, spec, None, seed=0), arrays, CPU)


def _random(count: int, side: int, channels: int) -> Arrays:
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, channels), dtype=np.uint8)
    labels = np.arange(count) % CLASSES
    return Arrays(images, labels, images[:CLASSES], labels[:CLASSES], ("one", "other"))


def walked(identity: Mapping[str, Any], epoch: int, batch: int) -> int:
    """Return the steps of an epoch of a run's miniature, by taking them: they are those of any network."""
    method, taken = miniature(identity, Scale(batch, SMALL.side)), 0
    method.begin_epoch(epoch)
    while taken < method.steps():
        method.step()
        taken += 1
    return taken


def _epoch(
    method: Method, epoch: int, images: Images, batch: int, meter: Meter, scale: Scale, walk: Callable[[], int]
) -> Work:
    """Return what an epoch computes on a data set, from its beginning, a step and a score here.

    A method that finds out on the way how many steps its epoch has says another number after the first: then they are
    walked.
    """
    pixels = (images.side / scale.side) ** 2
    beginning = meter(lambda: method.begin_epoch(epoch))
    said, step = method.steps(), meter(method.step)
    steps = (said if method.steps() == said else walk()) * images.training / (batch * BATCHES)
    shown = next(method.setting.clean.batches()).inputs
    with evaluating(method):
        score = meter(lambda: method.logits(shown))
    seen = images.training / (scale.batch * BATCHES)
    by_pixels = beginning.pixels * seen + step.pixels * steps * batch / scale.batch
    by_pixels += score.pixels * images.test / len(shown)
    by_calls = beginning.calls + step.calls * steps + score.calls * images.test / SCORED
    return Work(by_pixels * pixels, by_calls)


def pretraining_work(
    identity: Mapping[str, Any], images: Images, meter: Meter = operations, scale: Scale = SMALL
) -> Work:
    """Return what a pretraining computes; parameters as for :func:`run_work`."""
    full = SimCLR(**_simclr(identity))
    recipe = SimCLR(**{**_simclr(identity), "epochs": 1, "warm_up_epochs": 0, "batch_size": scale.batch})
    arrays = _random(2 * scale.batch, scale.side, len(identity["mean"]))
    pictures = torch.tensor(arrays.train_images).permute(0, 3, 1, 2).contiguous()
    part = meter(lambda: pretrain(pictures, recipe, CPU))
    pixels = (images.side / scale.side) ** 2 * images.training / len(pictures)
    calls = images.training / full.batch_size / 2
    return Work(full.epochs * part.pixels * pixels, full.epochs * part.calls * calls)


def _simclr(identity: Mapping[str, Any]) -> dict[str, Any]:
    facts = {name: identity[name] for name in ("model", "flips")}
    return {**facts, "mean": tuple(identity["mean"]), "std": tuple(identity["std"]), **identity["pretraining"]}
