"""Datasets: images and true labels, prepared once from pinned files. No torch here."""

from collections.abc import Callable, Mapping
from typing import Any

from emlc.data.base import Arrays, Dataset, check_normalisation
from emlc.data.cifar import Cifar10, Cifar100
from emlc.data.clothes import Clothes
from emlc.data.clothing1m import Clothing1M
from emlc.data.digits import Digits
from emlc.data.image_folder import ImageFolder
from emlc.data.on_disk import WAYS, is_on_disk
from emlc.data.photo_folder import PhotoFolder
from emlc.data.subset import subset_of
from emlc.noise import class_maps
from emlc.records.errors import SuiteError

__all__ = ["CLASS_MAPS", "KINDS", "Arrays", "Dataset", "open_dataset"]

KINDS: Mapping[str, Callable[..., Dataset]] = {
    "digits": Digits,
    "cifar10": Cifar10,
    "cifar100": Cifar100,
    "clothes": Clothes,
    "clothing1m": Clothing1M,
    "image-folder": ImageFolder,
    "photo-folder": PhotoFolder,
}
NEEDING_A_SOURCE = ("image-folder", "photo-folder")

_OWN_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "image-folder": ("classes",),
    "clothing1m": ("preprocessing", "side", "size"),
    "photo-folder": ("preprocessing", "side", "size"),
}
"""Options that not all kinds have."""

CLASS_MAPS: Mapping[str, class_maps.ClassMap] = {
    "mnist": class_maps.MNIST,
    "cifar10": class_maps.CIFAR10,
    "cifar10-mslc": class_maps.CIFAR10_MSLC,
    "cifar100-cyclic": class_maps.CIFAR100_CYCLIC,
    "cifar100-within": class_maps.CIFAR100_WITHIN,
    "cifar100-blocks": class_maps.CIFAR100_BLOCKS,
}
"""Names a profile can give as ``class_map``."""


def open_dataset(name: str, options: Mapping[str, Any]) -> Dataset:
    """Return the dataset that a profile describes. Nothing is read yet.

    Parameters
    ----------
    name : str
        Its key in the profile's ``datasets``.
    options : mapping
        Its ``kind`` (a key of :data:`KINDS`) and, from its ``options``, any fact to set or replace: ``title``,
        ``released``, ``class_map`` (a key of :data:`CLASS_MAPS`, or class -> class or list of classes, by number or
        name), ``mean``, ``std``, ``flips``; ``source``, the ``.dvc`` file that pins its bytes or, unpinned, a file or
        folder of your own; ``subset``, ``{train: N, test: M}`` images instead of all (:mod:`emlc.data.subset`). For
        folders ``source`` is required; ``classes`` may list an image folder's classes in label order. Photographs that
        stay on disk (``clothing1m``, ``photo-folder``) have ``preprocessing``, ``side`` and ``size``, and Clothing1M
        no ``subset``.

    Raises
    ------
    SuiteError
        If the kind is unknown, an option is not one of these or of the wrong form, mean or std cannot be those of its
        pixels (:func:`emlc.data.base.check_normalisation`), or a crop is larger than what it is cut from.
    """
    kind = options.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise SuiteError(f"datasets.{name}.kind is {kind!r:.80}; it must be one of {', '.join(KINDS)}")
    if unknown := sorted(set(options) - _allowed(kind) - {"kind"}):
        raise SuiteError(f"datasets.{name}.options.{unknown[0]} is not an option of kind {kind!r}")
    facts = {key: _read_option(name, key, value) for key, value in options.items() if key != "kind"}
    if "source" in facts:
        facts["pointers"] = (facts.pop("source"),)
    elif kind in NEEDING_A_SOURCE:
        raise SuiteError(f"datasets.{name}.options.source is missing: the .dvc file, archive or folder with the images")
    subset = facts.pop("subset", None)
    dataset = KINDS[kind](name=name, **facts)
    check_normalisation(name, dataset.mean, dataset.std, channels=len(KINDS[kind](name=name, pointers=()).mean))
    if is_on_disk(dataset) and dataset.size > dataset.side:
        given = f"{dataset.size}; it must be at most side, {dataset.side}"
        raise SuiteError(f"datasets.{name}.options.size is {given}: crops are cut out of squares of that many pixels")
    return dataset if subset is None else subset_of(dataset, *subset)


def _allowed(kind: str) -> set[str]:
    own = {option for options in _OWN_OPTIONS.values() for option in options}
    without = {"subset"} if kind == "clothing1m" else set()
    return {*_READERS} - own - without | {*_OWN_OPTIONS.get(kind, ())}


def _read_option(name: str, key: str, value: Any) -> Any:
    reader, form = _READERS[key]
    try:
        return reader(value)
    except (AttributeError, TypeError, ValueError):
        raise SuiteError(f"datasets.{name}.options.{key} is {value!r:.80}; it must be {form}") from None


def _class_map(value: Any) -> class_maps.GivenMap:
    if isinstance(value, str):
        if value not in CLASS_MAPS:
            raise ValueError(value)
        return CLASS_MAPS[value]
    return class_maps.read_class_map(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _way(value: Any) -> str:
    if value not in WAYS:
        raise ValueError(value)
    return value


def _pixels(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError(value)
    return value


def _counts(value: Any) -> tuple[int, int]:
    if set(value) != {"train", "test"} or not all(type(count) is int and count > 0 for count in value.values()):
        raise ValueError(value)
    return value["train"], value["test"]


def _numbers(value: Any) -> tuple[float, ...]:
    if isinstance(value, str) or any(isinstance(number, bool) for number in value):
        raise TypeError
    return tuple(float(number) for number in value)


_READERS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "title": (_text, "a text"),
    "released": (_text, "a date in quotes"),
    "source": (_text, "a path"),
    "class_map": (_class_map, f"one of {', '.join(CLASS_MAPS)}, or classes by class, e.g. {{2: 7}} or {{cat: dog}}"),
    "mean": (_numbers, "one number per channel"),
    "std": (_numbers, "one number per channel"),
    "flips": (_flag, "true or false"),
    "subset": (_counts, "{train: N, test: M}, numbers of images"),
    "preprocessing": (_way, f"one of {', '.join(WAYS)}"),
    "side": (_pixels, "a number of pixels"),
    "size": (_pixels, "a number of pixels"),
    "classes": (lambda names: tuple(_text(name) for name in names), "the class folders' names in label order"),
}
