"""Our side of a comparison: tiny networks, batches and settings, and the one place that knows how a method is run."""

import importlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from emlc.engine.contract import Batch, Samples, Setting, StudentMethod, Training
from emlc.models import Backbone, build_model

CLASSES, CHANNELS, SIZE, WIDTH = 5, 3, 8, 4
NOISY_SAMPLES, NOISY_BATCH, CLEAN_PER_CLASS = 100, 20, 2
"""A batch has more samples than MLNT's ten neighbours; a few batches visit some samples more than once."""

VIEWS = dict.fromkeys(
    ("plain", "weak", "auto", "strong", "jitter", "rand"),
    lambda images, _: images.to(torch.get_default_dtype()) / 128 - 1,
)
"""Seen only where losses of the whole set are modelled: batches are made here."""

LR = 0.1
DRAWN = 3
"""Seed of the generator that a method draws from while it trains."""
CPU = torch.device("cpu")


def generator(seed: int) -> torch.Generator:
    """Return a source of random numbers on the CPU."""
    return torch.Generator(CPU).manual_seed(seed)


def network(seed: int) -> Backbone:
    """Return a small network with batch norm; the same seed, the same weights."""
    return build_model("cnn-small", CLASSES, CHANNELS, generator(seed), width=WIDTH)


def noisy_labels() -> Tensor:
    """Return the given labels of the noisy set [N]."""
    return torch.randint(CLASSES, (NOISY_SAMPLES,), generator=generator(1))


def noisy_batch(number: int, size: int = NOISY_BATCH) -> Batch:
    """Return one batch of the noisy set; each visit of a sample sees other pixels, as under augmentation."""
    draw = generator(100 + number)
    indices = torch.randperm(NOISY_SAMPLES, generator=draw)[:size]
    return Batch((_images(size, draw),), noisy_labels()[indices], indices)


def noisy_pass(number: int, size: int) -> list[Batch]:
    """Return a pass over the noisy set: each sample in one batch, with pixels of this pass."""
    draw = generator(300 + number)
    parts = torch.randperm(NOISY_SAMPLES, generator=draw).split(size)
    return [Batch((_images(len(part), draw),), noisy_labels()[part], part) for part in parts]


def clean_batch(number: int) -> Batch:
    """Return one batch of the clean set: every class equally often, in ascending order."""
    draw = generator(200 + number)
    labels = clean_labels()
    return Batch((_images(len(labels), draw),), labels, torch.arange(len(labels)))


def clean_labels() -> Tensor:
    """Return the true labels of the clean set."""
    return torch.arange(CLASSES).repeat_interleave(CLEAN_PER_CLASS)


def joined(batches: list[Batch]) -> Batch:
    """Return several batches as the one that a look-ahead gets."""
    inputs, labels, indices = zip(*((batch.inputs, batch.labels, batch.indices) for batch in batches), strict=True)
    return Batch((torch.cat(inputs),), torch.cat(labels), torch.cat(indices))


def feed(steps: int, look_ahead: int = 1) -> Iterator[tuple[Batch, Batch]]:
    """Yield the noisy and the clean batch of each step."""
    for step in range(steps):
        numbers = range(step * look_ahead, (step + 1) * look_ahead)
        yield joined([noisy_batch(number) for number in numbers]), clean_batch(step)


def training(**changes: Any) -> Training:
    """Return a recipe: SGD with momentum and weight decay."""
    recipe = {"epochs": 120, "batch_size": NOISY_BATCH, "lr": LR, "momentum": 0.9, "weight_decay": 5e-4}
    return Training(**(recipe | changes))


def make(implementation: str, options: dict[str, Any], recipe: Training | None = None) -> Any:
    """Return a method in its initial state."""
    method: type[StudentMethod] = importlib.import_module(implementation).METHOD
    setting = Setting(
        num_classes=CLASSES,
        noisy=noisy_set(),
        clean=_samples(clean_labels()),
        training=recipe or training(),
        build=lambda role: network(sum(map(ord, role))),
        initial=generator(2),
        generator=generator(DRAWN),
        device=CPU,
    )
    return method(setting, method.Options(**options))


def take(method: StudentMethod, steps: int, look_ahead: int = 1) -> None:
    """Take some steps of the first epoch."""
    method.begin_epoch(0)
    for batches in feed(steps, look_ahead):
        method.learn(*batches)


def noisy_set() -> Samples:
    """Return the noisy set."""
    return _samples(noisy_labels())


def _samples(labels: Tensor) -> Samples:
    size = (len(labels), CHANNELS, SIZE, SIZE)
    images = torch.randint(256, size, dtype=torch.uint8, generator=generator(4))
    return Samples(images, labels, VIEWS, lambda _: generator(5))


def _images(count: int, draw: torch.Generator) -> Tensor:
    return torch.randn(count, CHANNELS, SIZE, SIZE, generator=draw)
