"""Prepared arrays on disk: one file per dataset, with its own checksum inside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emlc.artefacts import canonical_json, sha256_bytes
from emlc.data.base import Arrays
from emlc.data.npz import read_npz, write_npz
from emlc.errors import SuiteError

_IMAGES = ("train_images", "test_images")
_LABELS = ("train_labels", "test_labels")
_TEXTS = ("class_names", "dataset")
_CHECKSUM = "sha256"


def save_arrays(path: Path, arrays: Arrays, dataset_name: str) -> str:
    """Write a dataset's arrays; the bytes depend on the arrays and the name only.

    Parameters
    ----------
    path : Path
        The ``.npz`` file to write, atomically.
    arrays : Arrays
        What a dataset's ``prepare`` returned.
    dataset_name : str
        Key of the dataset in the profile; part of the checksum.

    Returns
    -------
    str
        SHA-256 of the content, as :func:`load_arrays` gives it back.

    Raises
    ------
    SuiteError
        If the arrays contradict each other (:func:`check_arrays`) or the file cannot be written.
    """
    check_arrays(arrays, dataset_name)
    content: dict[str, NDArray[Any]] = {name: getattr(arrays, name) for name in (*_IMAGES, *_LABELS)}
    content |= {"class_names": np.array(arrays.class_names), "dataset": np.array(dataset_name)}
    digest = content_sha256(content)
    write_npz(path, {**content, _CHECKSUM: np.array(digest)})
    return digest


def load_arrays(path: Path) -> tuple[Arrays, str]:
    """Read arrays that :func:`save_arrays` wrote and verify their checksum.

    Returns
    -------
    arrays : Arrays
    sha256 : str
        SHA-256 of the content, for run records.

    Raises
    ------
    SuiteError
        If the file is missing, truncated, from elsewhere, or its content does not have the checksum it claims.
    """
    content = read_npz(path)
    if set(content) != {*_IMAGES, *_LABELS, *_TEXTS, _CHECKSUM}:
        raise SuiteError(f"{path} is not a file of prepared arrays; delete it and run python -m pipelines.prepare")
    claimed = str(content.pop(_CHECKSUM))
    digest = content_sha256(content)
    if digest != claimed:
        raise SuiteError(
            f"{path} is damaged: its content has sha256 {digest}, not the {claimed!r:.70} it claims; "
            "delete it and run python -m pipelines.prepare"
        )
    names = tuple(str(name) for name in content["class_names"].ravel())
    arrays = Arrays(**{name: content[name] for name in (*_IMAGES, *_LABELS)}, class_names=names)
    check_arrays(arrays, str(path))
    return arrays, digest


def content_sha256(content: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 over names, types, shapes and values; independent of the file format around them."""
    parts: list[bytes] = []
    for name in sorted(content):
        array = content[name]
        parts += [canonical_json([name, array.dtype.str, array.shape]).encode(), array.tobytes()]
    return sha256_bytes(*parts)


def check_arrays(arrays: Arrays, source: str) -> None:
    """Refuse arrays that break what :class:`~emlc.data.base.Arrays` promises.

    Raises
    ------
    SuiteError
        Naming `source` and the first array that is wrong.
    """
    for split in ("train", "test"):
        images, labels = getattr(arrays, f"{split}_images"), getattr(arrays, f"{split}_labels")
        if images.dtype != np.uint8 or images.ndim != 4 or not images.size or images.shape[3] not in (1, 3):
            raise SuiteError(f"{source}: {split} images are {images.dtype} {images.shape}, not uint8 [N, H, W, 1 or 3]")
        if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
            raise SuiteError(
                f"{source}: {split} labels are {labels.dtype} {labels.shape}, not one int64 for each of {len(images)}"
            )
        if labels.min() < 0 or labels.max() >= arrays.num_classes:
            raise SuiteError(f"{source}: {split} labels lie outside 0 to {arrays.num_classes - 1}")
    if arrays.train_images.shape[1:] != arrays.test_images.shape[1:]:
        raise SuiteError(
            f"{source}: train images are {arrays.train_images.shape[1:]}, test images {arrays.test_images.shape[1:]}"
        )
