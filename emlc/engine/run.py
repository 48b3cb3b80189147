"""From a task and a recipe to a history: everything one run is made of, put together in one place."""

import importlib
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from emlc.data.base import Arrays
from emlc.data.streaming.photographs import Photographs, Pictures
from emlc.engine.contract import Method, Setting
from emlc.engine.distributed import average_gradients, check_method, check_processes
from emlc.engine.history import History
from emlc.engine.keepers import Keeper
from emlc.engine.loop import Scored, train
from emlc.engine.recipe import Recipe, parse_options
from emlc.engine.samples import Images, Samples
from emlc.engine.sampling import Sampling, sampling
from emlc.engine.streams import STREAMS
from emlc.engine.views import build_views
from emlc.models import Backbone, build_model, processes
from emlc.models.batch_norm import SYNCHRONISED, synchronise
from emlc.models.checkpoint import load_encoder
from emlc.models.precision import matrix_products, memory_format
from emlc.records.errors import SuiteError
from emlc.tasks.draw import Task
from emlc.tasks.seeds import derive_seed

__all__ = [
    "Data",
    "Recipe",
    "build_method",
    "build_scored",
    "initial_network",
    "method_class",
    "parse_options",
    "run",
]

Data = Arrays | Photographs
"""Images in memory, or on disk."""


def run(recipe: Recipe, task: Task, arrays: Data, device: torch.device, keeper: Keeper | None = None) -> History:
    """Train one method on one task, from where `keeper` has it or from the start, and return its history."""
    method = build_method(recipe, task, arrays, device)
    scored = build_scored(recipe, task, arrays, device)
    with matrix_products(recipe.training.precision):
        return train(method, scored, recipe.training.epochs, keeper=keeper)


def method_class(implementation: str) -> type[Method]:
    """Return the ``METHOD`` of a module.

    Raises
    ------
    SuiteError
        If there is no such module or it names no method.
    """
    try:
        return importlib.import_module(implementation).METHOD
    except (ModuleNotFoundError, AttributeError) as error:
        raise SuiteError(f"{implementation} is not a method: {error}; see docs/adding-a-method.md") from error


def build_method(recipe: Recipe, task: Task, arrays: Data, device: torch.device) -> Method:
    """Return the method in its initial state, with the training sets on `device`, resident or streamed."""
    cls = method_class(recipe.implementation)
    check_processes(recipe.training)
    check_method(cls, recipe.implementation)
    together = processes.count() > 1 and recipe.training.batch_norm == SYNCHRONISED

    def build(role: str) -> nn.Module:
        network = initial_network(recipe, arrays, role)
        network.precision = recipe.training.precision
        if together:
            synchronise(network)
        return network.to(device, memory_format=memory_format(network, device))

    noisy, clean = arrays.train_images[task.noisy_indices], arrays.train_images[task.clean_indices]
    setting = Setting(
        num_classes=arrays.num_classes,
        noisy=_samples(recipe, noisy, task.noisy_labels, device, "noisy", sampled=True),
        clean=_samples(recipe, clean, task.clean_labels, device, "clean"),
        training=recipe.training,
        build=build,
        initial=_generator(torch.device("cpu"), "initial weights", recipe.implementation, recipe.seed),
        generator=_generator(device, "method", recipe.implementation, recipe.seed),
        device=device,
    )
    method = cls(setting, parse_options(cls.Options, recipe.options, recipe.implementation))
    average_gradients(method)
    return method


def build_scored(recipe: Recipe, task: Task, arrays: Data, device: torch.device) -> Scored:
    """Return the sets that a run is scored on, resident on `device` or streamed to it."""
    validation = arrays.train_images[task.validation_indices]
    return Scored(
        _samples(recipe, validation, task.validation_labels, device, "validation"),
        _samples(recipe, arrays.test_images, arrays.test_labels, device, "test"),
    )


def initial_network(recipe: Recipe, arrays: Data, role: str) -> Backbone:
    """Return the backbone of a role in its initial state, on the CPU.

    Every weight is drawn by role and seed; a pretrained encoder then replaces all but the classifier's.

    Raises
    ------
    SuiteError
        If there is no such model, or the encoder is not one of it.
    """
    generator = torch.Generator().manual_seed(derive_seed("initial weights", role, recipe.seed))
    options = {key: value for key, value in recipe.model.items() if key != "name"}
    channels = arrays.train_images.shape[3]
    network = build_model(recipe.model["name"], arrays.num_classes, channels, generator, **options)
    if recipe.pretrained is not None:
        load_encoder(recipe.pretrained, network)
    return network


def _samples(
    recipe: Recipe, images: Any, labels: Any, device: torch.device, name: str, *, sampled: bool = False
) -> Samples:
    given = torch.tensor(labels, device=device)
    return Samples(
        images=_placed(images, device),
        labels=given,
        views=build_views(recipe),
        generator=partial(_stream_generator, device, name, recipe.seed),
        kind=STREAMS[recipe.order],
        **({"sampling": partial(_sampling, recipe, given)} if sampled else {}),
    )


def _placed(images: Any, device: torch.device) -> Images:
    """Return images [n, H, W, C] as [n, C, H, W] on a device; those on disk stay there until they are asked for."""
    if isinstance(images, Pictures):
        return images.on(device)
    return torch.tensor(images).permute(0, 3, 1, 2).contiguous().to(device)


def _sampling(recipe: Recipe, labels: Tensor, stream: str) -> Sampling:
    return sampling(recipe.sampling, labels, recipe.sampled, derive_seed("sampling", stream, recipe.seed))


def _stream_generator(device: torch.device, samples: str, seed: int, stream: str) -> torch.Generator:
    return _generator(device, *([samples, stream] if stream else [samples]), seed)


def _generator(device: torch.device, *axes: object) -> torch.Generator:
    return torch.Generator(device).manual_seed(derive_seed(*axes))
