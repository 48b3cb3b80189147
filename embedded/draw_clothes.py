"""Draw the embedded part of Fashion-MNIST, ``clothes.npz``, from the official files.

``python -m embedded.draw_clothes FOLDER``, where FOLDER holds the four ``*-ubyte.gz`` files of Fashion-MNIST (from
github.com/zalandoresearch/fashion-mnist, or Debian's package dataset-fashion-mnist, compressed otherwise: the unpacked
bytes are what is checked). The draw has a fixed seed; only a zlib of another make may compress it to other bytes.
"""

import gzip
import hashlib
import sys
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emlc.records.artefacts import atomic_path
from emlc.records.errors import SuiteError
from emlc.tasks.seeds import derive_seed

SIDE = 28
NUM_CLASSES = 10
PER_CLASS = {"train": 213, "test": 100}
"""Images of each class. 213: 200 noisy, 10 clean ones to train on (5 %) and 3 to validate on (1.5 %)."""

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
MD5 = {
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}
"""Of the unpacked files."""

_HEADER_BYTES = {"images": 16, "labels": 8}


def read_unpacked(folder: Path, name: str) -> bytes:
    """Return the unpacked bytes of one official file.

    Raises
    ------
    SuiteError
        If the file is missing, not gzip, or another one.
    """
    path = folder / f"{name}.gz"
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise SuiteError(f"cannot read {path}: {error}") from error
    if (md5 := hashlib.md5(content).hexdigest()) != MD5[name]:
        raise SuiteError(f"{path} unpacks to md5 {md5}, not {MD5[name]}: not Fashion-MNIST's file")
    return content


def drawn(labels: NDArray[np.uint8], split: str) -> NDArray[np.int64]:
    """Return the positions of the images to embed, `PER_CLASS` of each class, in ascending order."""
    rng = np.random.default_rng(derive_seed("clothes", split))
    chosen = [rng.permutation(np.flatnonzero(labels == label))[: PER_CLASS[split]] for label in range(NUM_CLASSES)]
    return np.sort(np.concatenate(chosen))


def part_of(folder: Path, split: str) -> dict[str, NDArray[np.uint8]]:
    """Return the two members of a split: its images as one zlib stream, and its labels [N]."""
    pixels, classes = (read_unpacked(folder, name) for name in FILES[split])
    labels = np.frombuffer(classes, np.uint8, offset=_HEADER_BYTES["labels"])
    images = np.frombuffer(pixels, np.uint8, offset=_HEADER_BYTES["images"]).reshape(-1, SIDE, SIDE)
    chosen = drawn(labels, split)
    stream = zlib.compress(images[chosen].tobytes(), level=9)
    return {f"{split}_zlib": np.frombuffer(stream, np.uint8), f"{split}_labels": labels[chosen]}


def main(folder: Path) -> None:
    """Write ``clothes.npz`` beside this file."""
    members = part_of(folder, "train") | part_of(folder, "test")
    with atomic_path(Path(__file__).with_name("clothes.npz")) as temporary, temporary.open("wb") as file:
        np.savez(file, **members)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
