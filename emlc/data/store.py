"""Prepared arrays on disk: one file per dataset, with its own checksum inside."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emlc.data.base import Arrays
from emlc.records.artefacts import canonical_json, sha256_bytes
from emlc.records.bundles import read_bundle, write_bundle
from emlc.records.errors import SuiteError

SCHEMA = "emlc.data/1"

MAX_BYTES = 2**34
"""Largest file of prepared arrays that is read (CIFAR has 2**27.5)."""

_DTYPES = {"train_images": "|u1", "train_labels": "<i8", "test_images": "|u1", "test_labels": "<i8"}
_REMEDY = "delete it and run python -m pipelines.prepare"
_MAX_NAME = 255


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
    digest = content_sha256(arrays, dataset_name)
    meta = {"schema": SCHEMA, "dataset": dataset_name, "class_names": list(arrays.class_names), "sha256": digest}
    write_bundle(path, meta, {name: getattr(arrays, name) for name in _DTYPES})
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
    meta, content = read_bundle(path, _DTYPES, _REMEDY, MAX_BYTES)
    if not _is_meta(meta):
        raise SuiteError(f"{path} is not a file of prepared arrays of schema {SCHEMA}; {_REMEDY}")
    arrays = Arrays(**content, class_names=tuple(meta["class_names"]))
    _check_names(arrays.class_names, str(path))
    digest = content_sha256(arrays, meta["dataset"])
    if digest != meta["sha256"]:
        raise SuiteError(
            f"{path} is damaged: its content has sha256 {digest}, not the {meta['sha256']!r:.70} it claims; {_REMEDY}"
        )
    check_arrays(arrays, str(path))
    return arrays, digest


def content_sha256(arrays: Arrays, dataset_name: str) -> str:
    """Return the SHA-256 over names, types, shapes and values; independent of the file format around them."""
    content: dict[str, NDArray[Any]] = {name: getattr(arrays, name) for name in _DTYPES}
    content |= {"class_names": np.array(arrays.class_names), "dataset": np.array(dataset_name)}
    parts: list[bytes] = []
    for name in sorted(content):
        array = content[name]
        parts += [canonical_json([name, array.dtype.str, array.shape]).encode(), array.tobytes()]
    return sha256_bytes(*parts)


def _is_meta(meta: Any) -> bool:
    return (
        isinstance(meta, dict)
        and set(meta) == {"schema", "dataset", "class_names", "sha256"}
        and meta["schema"] == SCHEMA
        and isinstance(meta["dataset"], str)
        and isinstance(meta["sha256"], str)
        and isinstance(meta["class_names"], list)
        and all(isinstance(name, str) for name in meta["class_names"])
    )


def _check_names(names: tuple[str, ...], source: str) -> None:
    # The checksum is over a numpy array of texts: each takes the room of the longest, and NUL at their ends is lost.
    if any(len(name) > _MAX_NAME or "\0" in name for name in names):
        raise SuiteError(f"{source}: class names must have at most {_MAX_NAME} characters, none of them NUL")


def check_arrays(arrays: Arrays, source: str) -> None:
    """Refuse arrays that break what :class:`~emlc.data.base.Arrays` promises.

    Raises
    ------
    SuiteError
        Naming `source` and the first array that is wrong.
    """
    _check_names(arrays.class_names, source)
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
