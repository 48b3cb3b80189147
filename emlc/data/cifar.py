"""CIFAR-10 and CIFAR-100 from the official python-version archives (Krizhevsky, 2009).

https://www.cs.toronto.edu/~kriz/cifar.html describes the layout. Images keep the archive's order (CIFAR-10:
``data_batch_1`` to ``data_batch_5``, concatenated), which is the order CIFAR-N's labels are in.
"""

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emlc.data.archives import read_archive
from emlc.data.base import Arrays
from emlc.data.safe_pickle import load_pickled_dict
from emlc.noise.class_maps import CIFAR10, CIFAR100_CYCLIC, GivenMap
from emlc.records.errors import SuiteError

SIDE = 32


@dataclass(frozen=True)
class Cifar10:
    """CIFAR-10: 50,000 + 10,000 RGB images of 32x32 pixels. Statistics as in DivideMix, C2D and EMLC."""

    name: str = "cifar10"
    title: str = "CIFAR-10"
    released: str = "2009-04-08"
    pointers: tuple[str, ...] = ("data/cifar10.dvc",)
    class_map: GivenMap = field(default_factory=lambda: CIFAR10)
    mean: tuple[float, ...] = (0.4914, 0.4822, 0.4465)
    std: tuple[float, ...] = (0.2023, 0.1994, 0.2010)
    flips: bool = True

    def prepare(self, files: tuple[Path, ...]) -> Arrays:
        """Read ``cifar-10-python.tar.gz``.

        Raises
        ------
        SuiteError
            If the archive lacks a batch, is damaged, or its pickles name anything but arrays.
        """
        return read_python_archive(files[0], _CIFAR10)


@dataclass(frozen=True)
class Cifar100:
    """CIFAR-100 with its 100 fine classes: 50,000 + 10,000 RGB images. Statistics as in DivideMix, C2D and FasTEN."""

    name: str = "cifar100"
    title: str = "CIFAR-100"
    released: str = "2009-04-08"
    pointers: tuple[str, ...] = ("data/cifar100.dvc",)
    class_map: GivenMap = field(default_factory=lambda: CIFAR100_CYCLIC)
    mean: tuple[float, ...] = (0.507, 0.487, 0.441)
    std: tuple[float, ...] = (0.267, 0.256, 0.276)
    flips: bool = True

    def prepare(self, files: tuple[Path, ...]) -> Arrays:
        """Read ``cifar-100-python.tar.gz``; errors as :meth:`Cifar10.prepare`."""
        return read_python_archive(files[0], _CIFAR100)


@dataclass(frozen=True)
class _Layout:
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str
    labels_key: str
    names_key: str


_CIFAR10 = _Layout(
    folder="cifar-10-batches-py",
    train=tuple(f"data_batch_{batch}" for batch in range(1, 6)),
    test=("test_batch",),
    meta="batches.meta",
    labels_key="labels",
    names_key="label_names",
)
_CIFAR100 = _Layout(
    folder="cifar-100-python",
    train=("train",),
    test=("test",),
    meta="meta",
    labels_key="fine_labels",
    names_key="fine_label_names",
)


def read_python_archive(path: Path, layout: _Layout) -> Arrays:
    """Read an archive in the official layout, whatever its number of images (tests build small ones)."""
    batches = _read_members(path, layout)
    names = batches[layout.meta].get(layout.names_key)
    if not isinstance(names, list) or not all(isinstance(name, bytes | str) for name in names):
        raise SuiteError(f"{path}: {layout.meta} has no list {layout.names_key}")
    train_images, train_labels = _join(path, [batches[name] for name in layout.train], layout, len(names))
    test_images, test_labels = _join(path, [batches[name] for name in layout.test], layout, len(names))
    class_names = tuple(name.decode("latin-1") if isinstance(name, bytes) else name for name in names)
    return Arrays(train_images, train_labels, test_images, test_labels, class_names)


def _read_members(path: Path, layout: _Layout) -> dict[str, dict[str, Any]]:
    wanted = {*layout.train, *layout.test, layout.meta}
    found: dict[str, dict[str, Any]] = {}
    for member, data in read_archive(path):
        if member.parent == PurePosixPath(layout.folder) and member.name in wanted and data is not None:
            found[member.name] = load_pickled_dict(data, f"{path}: {member}")
    if missing := sorted(wanted - set(found)):
        raise SuiteError(f"{path} has no {layout.folder}/{missing[0]}: not the official python-version archive")
    return found


def _join(
    path: Path, batches: list[dict[str, Any]], layout: _Layout, num_classes: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images, labels = zip(*(_batch(path, batch, layout.labels_key, num_classes) for batch in batches), strict=True)
    planes = np.concatenate(images).reshape(-1, 3, SIDE, SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), np.concatenate(labels)


def _batch(
    path: Path, batch: dict[str, Any], labels_key: str, num_classes: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images, labels = batch.get("data"), batch.get(labels_key)
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[1:] != (3 * SIDE * SIDE,):
        raise SuiteError(f"{path}: a batch has no uint8 array 'data' of {3 * SIDE * SIDE} values an image")
    if not isinstance(labels, list) or len(labels) != len(images):
        raise SuiteError(f"{path}: a batch has no list {labels_key!r} with one label for each of {len(images)} images")
    if not all(isinstance(label, int) and 0 <= label < num_classes for label in labels):
        raise SuiteError(f"{path}: a batch has {labels_key!r} outside 0 to {num_classes - 1}")
    return images, np.array(labels, dtype=np.int64)
