"""Datasets whose images stay on disk: which files there are, what they are labelled, and a checksum over that.

The images themselves are decoded when they are needed (:mod:`emlc.data.streaming.images`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emlc.noise.matrices import Labels
from emlc.records.artefacts import canonical_json, sha256_bytes
from emlc.records.bundles import read_bundle, write_bundle
from emlc.records.errors import SuiteError
from emlc.tasks.splits import Split

SCHEMA = "emlc.listing/1"

Keys = NDArray[np.bytes_]
"""Names of files below a folder, ``/`` between folders, [N]: 1,000,000 take 50 MB, as Python texts three times that."""

_ARRAYS = {
    "train_keys": "|u1",
    "train_labels": "<i8",
    "test_keys": "|u1",
    "test_labels": "<i8",
    "clean": "<i8",
    "validation": "<i8",
    "noisy": "<i8",
    "confusion": "<i8",
}
_SETS = ("clean", "validation", "noisy")
_TEXTS = ("dataset", "class_names", "notes")
_REMEDY = "delete it and run python -m pipelines.prepare"


@dataclass(frozen=True, eq=False)
class Listing:
    """Files and labels of a dataset.

    Attributes
    ----------
    train_keys : ndarray of bytes [N]
    train_labels : ndarray of int64 [N]
        True ones; of the noisy set of a dataset that brings one along, its noisy ones.
    test_keys : ndarray of bytes [M]
    test_labels : ndarray of int64 [M]
    split : Split or None
        Positions in the training images, where the dataset itself says which are clean, validate, and are noisy.
    confusion : ndarray of int64 [C, C]
        Images that bear a true (row) and a noisy (column) label.
    class_names : tuple of str
    notes : tuple of str
        What a reader of results should know of the files, e.g. that they are a part of the original.
    """

    train_keys: Keys
    train_labels: Labels
    test_keys: Keys
    test_labels: Labels
    split: Split | None
    confusion: NDArray[np.int64]
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


def save_listing(path: Path, listing: Listing, dataset_name: str) -> str:
    """Write a listing to an ``.npz`` file, atomically, and return the SHA-256 of its content.

    The checksum is over names and labels; that the pixels are the same, no checksum says.

    Raises
    ------
    SuiteError
        If the file cannot be written.
    """
    arrays = _arrays_of(listing)
    facts = _facts(dataset_name, listing.class_names, listing.notes)
    digest = _digest(facts, arrays)
    write_bundle(path, {**facts, "sha256": digest}, arrays)
    return digest


def load_listing(path: Path) -> tuple[Listing, str]:
    """Read what :func:`save_listing` wrote; returns the listing and its SHA-256.

    Raises
    ------
    SuiteError
        If the file is missing, damaged, edited or something else.
    """
    meta, arrays = read_bundle(path, _ARRAYS, _REMEDY)
    if not _is_meta(meta):
        raise SuiteError(f"{path} is not a listing of schema {SCHEMA}; {_REMEDY}")
    digest = _digest(_facts(*(meta[name] for name in _TEXTS)), arrays)
    if digest != meta["sha256"]:
        raise SuiteError(f"{path}: content and sha256 do not agree, so it was edited or damaged; {_REMEDY}")
    keys = {name: _unpacked(arrays.pop(name)) for name in ("train_keys", "test_keys")}
    sets = {name: arrays.pop(name) for name in _SETS}
    split = Split(**sets) if all(map(len, sets.values())) else None
    return Listing(**keys, **arrays, split=split, **_texts_of(meta)), digest


def _arrays_of(listing: Listing) -> dict[str, NDArray[Any]]:
    none = np.empty(0, np.int64)
    sets = {name: none if listing.split is None else getattr(listing.split, name) for name in _SETS}
    keys = {name: _packed(getattr(listing, name)) for name in ("train_keys", "test_keys")}
    plain = {name: getattr(listing, name) for name in ("train_labels", "test_labels", "confusion")}
    found = {**sets, **keys, **plain}
    return {name: found[name] for name in _ARRAYS}


def _packed(keys: Keys) -> NDArray[np.uint8]:
    """Return the keys as one text, a line each: a bundle's arrays have types known beforehand."""
    return np.frombuffer(b"\n".join(keys.tolist()), np.uint8)


def _unpacked(text: NDArray[np.uint8]) -> Keys:
    return np.array(text.tobytes().split(b"\n"))


def _facts(dataset_name: str, class_names: Sequence[str], notes: Sequence[str]) -> dict[str, Any]:
    return {"schema": SCHEMA, "dataset": dataset_name, "class_names": list(class_names), "notes": list(notes)}


def _texts_of(meta: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(meta[name]) for name in ("class_names", "notes")}


def _digest(facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> str:
    parts = [canonical_json(facts).encode()]
    for name in _ARRAYS:
        parts += [canonical_json([name, arrays[name].shape]).encode(), arrays[name].tobytes()]
    return sha256_bytes(*parts)


def _is_meta(meta: Any) -> bool:
    return (
        isinstance(meta, dict)
        and set(meta) == {"schema", "sha256", *_TEXTS}
        and meta["schema"] == SCHEMA
        and all(isinstance(meta[name], list) for name in ("class_names", "notes"))
    )
