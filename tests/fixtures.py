"""Small stand-ins for the real data, in the official layouts, and where the real ones may lie."""

import codecs
import hashlib
import io
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "datasets"
SIDE = 32


def shared_file(name: str) -> Path:
    """Return a file of the optional development data, or skip the test."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"needs {name} in ../shared/datasets")
    return path


def write_cifar_archive(path: Path, images_per_class: int, num_classes: int = 10, seed: int = 0) -> None:
    """Write a small ``cifar-10-python.tar.gz`` (or CIFAR-100, for 100 classes) in the official layout.

    Each class has a colour pattern of its own under noise, so that a network can learn it. Training images come in
    random order; the test set has as many images.
    """
    rng = np.random.default_rng(seed)
    patterns = rng.integers(40, 216, size=(num_classes, 3, 4, 4)).repeat(8, axis=2).repeat(8, axis=3)
    train, test = (_draw(rng, patterns, images_per_class) for _ in range(2))
    members = _cifar10_members(train, test) if num_classes == 10 else _cifar100_members(train, test, num_classes)
    write_tar(path, {name: pickle_like_python2(content) for name, content in members.items()})


def write_human_labels(path: Path, true_labels: np.ndarray, rates: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Write a label file as CIFAR-N's were, a torch zip around a pickle, and return its label sets by their keys."""
    rng = np.random.default_rng(0)
    human = {}
    for key, rate in rates.items():
        wrong = rng.permutation(len(true_labels))[: round(rate * len(true_labels))]
        human[key] = true_labels.copy()
        human[key][wrong] = (true_labels[wrong] + 1) % (true_labels.max() + 1)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"clean_label": true_labels, **human}, 2))
    return human


def torch_reads(path: Path) -> dict[str, Any]:
    """Return what torch itself makes of a label file, allowed to make arrays only."""
    import torch

    reconstruct, dtype = np.empty(0).__reduce__()[0], type(np.dtype(np.int64))
    allowed = [(reconstruct, "numpy.core.multiarray._reconstruct"), np.ndarray, np.dtype, dtype, codecs.encode]
    with torch.serialization.safe_globals(allowed):
        return torch.load(path, weights_only=True)


def write_tar(path: Path, members: Mapping[str, bytes | None]) -> None:
    """Write a tar archive compressed as its suffix says; a member without content is a folder."""
    compression = {".gz": "gz", ".xz": "xz", ".bz2": "bz2"}.get(path.suffix, "")
    with tarfile.open(path, f"w:{compression}") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
            info.size = len(data or b"")
            archive.addfile(info, io.BytesIO(data or b""))


def write_pointer(path: Path, file: Path, source: str | None = None) -> None:
    """Write a ``.dvc`` file that pins the bytes of `file` under its name, in the pointer's own folder."""
    out = {"path": file.name, "hash": "md5", "md5": md5(file.read_bytes()), "size": file.stat().st_size}
    content: dict[str, Any] = {"outs": [out]}
    path.write_text(yaml.safe_dump(content | ({"meta": {"url": source}} if source else {})))


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def encode(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    """Return an image file of uint8 `pixels` [H, W, 3] or [H, W]."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def pickle_like_python2(value: Any) -> bytes:
    """Pickle `value` with the opcodes that Python 2 wrote the official archives with: texts are byte strings."""
    return b"\x80\x02" + _opcodes(value) + b"."


def _opcodes(value: Any) -> bytes:
    match value:
        case bytes():
            return (b"U" + bytes([len(value)]) if len(value) < 256 else b"T" + struct.pack("<I", len(value))) + value
        case int():
            return b"J" + struct.pack("<i", value)
        case list():
            return b"](" + b"".join(map(_opcodes, value)) + b"e"
        case tuple():
            return b"(" + b"".join(map(_opcodes, value)) + b"t"
        case dict():
            return b"}(" + b"".join(_opcodes(part) for item in value.items() for part in item) + b"u"
        case np.ndarray():
            return _array_opcodes(value)
    raise TypeError(type(value))


def _array_opcodes(array: np.ndarray) -> bytes:
    code, minus_one = array.dtype.str[1:].encode(), _opcodes(-1)
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + _opcodes((0,)) + _opcodes(b"b") + b"tR"
    dtype = b"cnumpy\ndtype\n" + _opcodes((code, 0, 1)) + b"R"
    order = b"|" if array.itemsize == 1 else b"<"
    dtype += b"(" + _opcodes(3) + _opcodes(order) + b"NNN" + minus_one + minus_one + _opcodes(0) + b"tb"
    return empty + b"(" + _opcodes(1) + _opcodes(array.shape) + dtype + b"\x89" + _opcodes(array.tobytes()) + b"tb"


def _draw(rng: np.random.Generator, patterns: np.ndarray, per_class: int) -> tuple[np.ndarray, list[int]]:
    labels = rng.permutation(np.repeat(np.arange(len(patterns)), per_class))
    noise = rng.normal(scale=20, size=(len(labels), *patterns.shape[1:]))
    images = np.clip(patterns[labels] + noise, 0, 255).astype(np.uint8)
    return images.reshape(len(labels), -1), labels.tolist()


def _cifar10_members(train: tuple[np.ndarray, list[int]], test: tuple[np.ndarray, list[int]]) -> dict[str, Any]:
    names = b"airplane automobile bird cat deer dog frog horse ship truck".split()
    members: dict[str, Any] = {"batches.meta": {b"num_cases_per_batch": 10000, b"label_names": names, b"num_vis": 3072}}
    images, labels = train
    for number, positions in enumerate(np.array_split(np.arange(len(labels)), 5), start=1):
        content = (images[positions], [labels[i] for i in positions])
        members[f"data_batch_{number}"] = _batch(content, b"labels", b"training batch %d of 5" % number)
    members["test_batch"] = _batch(test, b"labels", b"testing batch 1 of 1")
    return {f"cifar-10-batches-py/{name}": content for name, content in members.items()}


def _cifar100_members(
    train: tuple[np.ndarray, list[int]], test: tuple[np.ndarray, list[int]], num_classes: int
) -> dict[str, Any]:
    fine, coarse = [b"fine_%02d" % i for i in range(num_classes)], [b"coarse_%02d" % i for i in range(20)]
    members = {
        "meta": {b"fine_label_names": fine, b"coarse_label_names": coarse},
        "train": _batch(train, b"fine_labels", b"training batch 1 of 1"),
        "test": _batch(test, b"fine_labels", b"testing batch 1 of 1"),
    }
    return {f"cifar-100-python/{name}": content for name, content in members.items()}


def _batch(split: tuple[np.ndarray, list[int]], labels_key: bytes, name: bytes) -> dict[bytes, Any]:
    images, labels = split
    files = [b"image_s_%06d.png" % i for i in range(len(labels))]
    return {b"batch_label": name, labels_key: labels, b"data": images, b"filenames": files}
