"""Noise and splits: the data set of the public EMLC code, which MLC's and MW-Net's resemble.

Same seed, same matrices and same images. Its labels come from NumPy's old global generator, ours from one of their
own: compared is what each makes of the same uniform numbers. Generators that use Python's `random` (FasTEN,
DivideMix) have no such counterpart.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

from emlc.noise import corrupt, transition_matrix
from emlc.tasks.splits import released_split
from pipelines.official.comparison import Case, State
from pipelines.official.emlc import REPOSITORY as REPOSITORY
from pipelines.official.source import Definitions, load, needed

FILE = "CIFAR/load_corrupted_data_mlg.py"
GENERATORS = {"sym": "uniform_mix_C", "flip": "flip_labels_C", "flip2": "flip_labels_C_two"}
RATES, CLASSES = (0.2, 0.5, 0.9), (10, 100)
FILES, IMAGES, PER_CLASS, SEED, RATE = 5, 50_000, 100, 3, 0.5


def cases(clone: Path) -> Iterator[Case]:
    """Yield the matrices, and the three draws of the split with the noisy labels."""
    files = load(clone, FILE, {"open": _open, "pickle": SimpleNamespace(load=_batch)})
    yield Case("transition matrices", _matrices, partial(_official_matrices, files), steps=(1,))
    yield Case("split and noisy labels, seed 3", _split, partial(_official_split, files), steps=(1,))


def _matrices(steps: int) -> State:
    return {
        kind: [torch.from_numpy(transition_matrix(kind, rate, classes)) for rate in RATES for classes in CLASSES]
        for kind in GENERATORS
    }


def _official_matrices(files: Definitions, steps: int, undone: bool) -> State:
    made = {kind: needed(files, name) for kind, name in GENERATORS.items()}
    return {
        kind: [torch.from_numpy(matrix(rate, classes)) for rate in RATES for classes in CLASSES]
        for kind, matrix in made.items()
    }


def _split(steps: int) -> State:
    labels = _labels()
    split = released_split(labels, PER_CLASS, SEED)
    with patch("numpy.random.default_rng", np.random.RandomState):
        noisy = corrupt(labels[_noisy_order(labels)], transition_matrix("sym", RATE, CLASSES[0]), SEED)
    sets = {"clean set": split.clean, "noisy set": split.noisy, "validation set": split.validation}
    return {name: [torch.from_numpy(value)] for name, value in (sets | {"noisy labels": noisy}).items()}


def _official_split(files: Definitions, steps: int, undone: bool) -> State:
    made = needed(files, "CIFAR10")
    data_set = type("Unread", (made,), {"_check_integrity": lambda self: True})
    options = {"num_meta": PER_CLASS * CLASSES[0], "corruption_prob": RATE, "corruption_type": "unif"}
    np.random.seed(SEED)
    clean = data_set(meta=True, **options)
    noisy = data_set(meta=False, seed=SEED, **options)
    validation = data_set(meta=True, **options)
    sets = {"clean set": clean, "noisy set": noisy, "validation set": validation}
    state = {name: [torch.from_numpy(np.sort(_numbers(value.train_data)))] for name, value in sets.items()}
    return state | {"noisy labels": [torch.tensor(np.asarray(noisy.train_labels))]}


def _noisy_order(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the noisy set in the order in which the official code keeps it: that of its shuffled classes."""
    rng = np.random.RandomState(SEED)
    members = [np.flatnonzero(labels == label) for label in range(CLASSES[0])]
    shuffled = [[rng.permutation(indices) for indices in members] for _ in ("clean", "noisy")]
    return np.concatenate([indices[PER_CLASS:] for indices in shuffled[1]])


def _labels() -> NDArray[np.int64]:
    return np.random.default_rng(0).permutation(np.repeat(np.arange(CLASSES[0]), IMAGES // CLASSES[0]))


def _open(path: str, mode: str) -> Any:
    """Stand in for CIFAR-10's files, of which only the name is needed."""
    return SimpleNamespace(name=path, close=lambda: None)


def _batch(file: Any, encoding: str) -> dict[str, Any]:
    """Return one file's worth of images whose first two pixels say which they are."""
    size = IMAGES // FILES
    numbers = np.arange(size) + (int(file.name.rpartition("_")[2]) - 1) * size
    data = np.zeros((size, 3072), np.uint8)
    data[:, 0], data[:, 1] = numbers // 256, numbers % 256
    return {"data": data, "labels": _labels()[numbers].tolist()}


def _numbers(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return which images [n, 32, 32, 3] these are."""
    return images[:, 0, 0, 0].astype(np.int64) * 256 + images[:, 0, 1, 0]
