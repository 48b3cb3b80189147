"""From a task and a recipe to a history: everything one run is made of, put together in one place."""

import importlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import torch
from torch import Tensor, nn

from emlc.data.augment import CropFlip, CropFlipAutoAugment, normalise
from emlc.data.augment.geometry import Padding
from emlc.data.base import Arrays
from emlc.engine.contract import Method, Setting, Training
from emlc.engine.keepers import Keeper
from emlc.engine.loop import Feed, History, train
from emlc.engine.streams import STREAMS, Augmentation, BalancedStream, ImageSet, Stream
from emlc.models import Backbone, build_model
from emlc.models.checkpoint import load_encoder
from emlc.models.precision import matrix_products, memory_format
from emlc.records.errors import SuiteError
from emlc.tasks.draw import Task
from emlc.tasks.seeds import derive_seed


@dataclass(frozen=True)
class Recipe:
    """How a run is trained; a profile's settings resolved for one method and one dataset.

    Attributes
    ----------
    implementation : str
        Module of the method, e.g. ``baselines.mlc``.
    options : dict
        The method's own hyper-parameters.
    training : Training
    model : dict
        ``name`` and options of :func:`emlc.models.build_model`.
    order : str
        A key of :data:`emlc.engine.streams.STREAMS`.
    crop_padding : int
        Pixels of zero padding before the random crop; 0 for none.
    flips : bool
    mean, std : tuple of float
    seed : int
    pretrained : Path or None
        Encoder that every backbone starts from (:mod:`emlc.models.checkpoint`); None for random ones.
    padding : {"zero", "reflect"}
        Content of the padding.
    auto_augment : {"cifar10", "imagenet"}
        AutoAugment's policy, for the methods that use it on clean images.
    """

    implementation: str
    options: dict[str, Any]
    training: Training
    model: dict[str, Any]
    order: str
    crop_padding: int
    flips: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    seed: int
    pretrained: Path | None = None
    padding: Padding = "zero"
    auto_augment: str = "cifar10"


def run(recipe: Recipe, task: Task, arrays: Arrays, device: torch.device, keeper: Keeper | None = None) -> History:
    """Train one method on one task, from where `keeper` has it or from the start, and return its history."""
    method = build_method(recipe, task, arrays, device)
    feed = build_feed(recipe, method, task, arrays, device)
    with matrix_products(recipe.training.precision):
        return train(method, feed, recipe.training.epochs, keeper=keeper)


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


def build_method(recipe: Recipe, task: Task, arrays: Arrays, device: torch.device) -> Method:
    """Return the method in its initial state."""
    cls = method_class(recipe.implementation)

    def build(role: str) -> nn.Module:
        network = initial_network(recipe, arrays, role)
        network.precision = recipe.training.precision
        return network.to(device, memory_format=memory_format(network, device))

    setting = Setting(
        num_classes=arrays.num_classes,
        noisy_labels=torch.tensor(task.noisy_labels, device=device),
        training=recipe.training,
        build=build,
        initial=_generator(torch.device("cpu"), "initial weights", recipe.implementation, recipe.seed),
        generator=_generator(device, "method", recipe.implementation, recipe.seed),
        device=device,
    )
    return cls(setting, parse_options(cls.Options, recipe.options, recipe.implementation))


def initial_network(recipe: Recipe, arrays: Arrays, role: str) -> Backbone:
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


def parse_options(options: type[Any], values: dict[str, Any], implementation: str) -> Any:
    """Return the options dataclass filled from a profile.

    Raises
    ------
    SuiteError
        If a key is not an option of the method, or its value not of the option's type.
    """
    types = get_type_hints(options)
    for key, value in values.items():
        if key not in types:
            listed = ", ".join(sorted(types)) or "none"
            raise SuiteError(f"{implementation} has no option {key!r}; its options: {listed}")
        if not _is_of(value, types[key]):
            wanted = getattr(types[key], "__name__", types[key])
            raise SuiteError(
                f"option {key} of {implementation} is {value!r}; it must be {wanted} (YAML: 3.0e-4, not 3e-4)"
            )
    return options(**values)


def _is_of(value: Any, annotation: Any) -> bool:
    """Whether a YAML value fits a type: whole numbers are floats too, booleans are no numbers."""
    allowed = get_args(annotation) or (annotation,)
    if isinstance(value, bool):
        return bool in allowed
    if isinstance(value, int) and float in allowed:
        return True
    return isinstance(value, allowed) and not (isinstance(value, float) and not math.isfinite(value))


def build_feed(recipe: Recipe, method: Method, task: Task, arrays: Arrays, device: torch.device) -> Feed:
    """Return the batches and evaluation sets of one run, resident on `device`.

    Raises
    ------
    SuiteError
        If the noisy set has fewer images than a step of several batches takes.
    """
    noisy = _images(arrays.train_images[task.noisy_indices], task.noisy_labels, device)
    clean = _images(arrays.train_images[task.clean_indices], task.clean_labels, device)
    validation = _images(arrays.train_images[task.validation_indices], task.validation_labels, device)
    test = _images(arrays.test_images, arrays.test_labels, device)
    size = recipe.training.batch_size
    if method.look_ahead > 1 and size * method.look_ahead > len(noisy):
        wanted = f"{method.look_ahead} batches of {size} images"
        raise SuiteError(f"a step needs {wanted}, the noisy set has {len(noisy)}; lower batch_size or look_ahead")
    stream = STREAMS[recipe.order]
    clean_stream = BalancedStream if method.class_balanced else stream

    def evaluation_inputs(images: Tensor) -> Tensor:
        return normalise(images, recipe.mean, recipe.std)

    return Feed(
        noisy=_stream(stream, noisy, size * method.look_ahead, _augmentation(recipe, False), "noisy", recipe.seed),
        clean=_stream(clean_stream, clean, size, _augmentation(recipe, method.auto_augments), "clean", recipe.seed),
        validation=validation,
        test=test,
        normalise=evaluation_inputs,
    )


def _stream(
    kind: type[Stream], samples: ImageSet, size: int, augmentation: Augmentation, name: str, seed: int
) -> Stream:
    return kind(samples, size, augmentation, _generator(samples.images.device, name, seed))


def _augmentation(recipe: Recipe, auto: bool) -> Augmentation:
    rgb = len(recipe.mean) == 3
    shared = (recipe.crop_padding, recipe.flips, recipe.mean, recipe.std, recipe.padding)
    return CropFlipAutoAugment(*shared, recipe.auto_augment) if auto and rgb else CropFlip(*shared)


def _images(images: Any, labels: Any, device: torch.device) -> ImageSet:
    pixels = torch.tensor(images).permute(0, 3, 1, 2).contiguous()
    return ImageSet(pixels.to(device), torch.tensor(labels, device=device))


def _generator(device: torch.device, *axes: object) -> torch.Generator:
    return torch.Generator(device).manual_seed(derive_seed(*axes))
