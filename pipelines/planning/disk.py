"""How much disk a profile's artefacts take: upper estimates, from what is known before anything is downloaded.

Downloads have the size that their ``.dvc`` file states, an unpinned source takes nothing. For the rest, with n images:

- prepared arrays: n (pixels + 8) bytes and 10 kB;
- a task: 40 n bytes (24 of each noisy image, 16 of each clean one) and 100 kB, and 16 C^2 bytes of matrices;
- an encoder: its tensors and its projection head's;
- a run: 100 bytes a step and 600 an epoch in its record and histories, 50 kB for its log and the workflow's own notes.

The number of images is known of digits and CIFAR. In an image folder it is taken to be its bytes / 300, and they are
taken to grow to 10 times their size: small JPEGs, so that both are too many rather than too few. Photographs stay on
disk, and those of an archive are unpacked: no larger than it, as they are compressed already.
"""

from pathlib import Path
from typing import Any, NamedTuple

from emlc.data import open_dataset
from emlc.records.errors import SuiteError
from pipelines.fetching.pointers import is_pointer, read_pointer
from pipelines.profile.derived import dataset_options
from pipelines.profile.model import Profile

KEY = 60
"""Bytes of an image's name and label in a listing."""

KNOWN = {
    "digits": (1_797, 64, 10),
    "clothes": (3_130, 784, 10),
    "cifar10": (60_000, 3_072, 10),
    "cifar100": (60_000, 3_072, 100),
    "clothing1m": (1_072_409, KEY, 14),
}
"""Images, bytes that each takes when it is prepared, and classes."""

TESTED = {"digits": 360, "clothes": 1_000, "cifar10": 10_000, "cifar100": 10_000, "clothing1m": 10_526}
"""Test images among them; of other kinds a sixth, as CIFAR has."""

FOLDER_BYTES_PER_IMAGE, FOLDER_GROWTH = 300, 10
FOLDER_CLASSES = 100
PHOTO_BYTES = 10_000
"""Of a photograph: a small one, so that there are too many rather than too few."""


class Sizes(NamedTuple):
    """Of one dataset: number of images, and bytes of its prepared arrays and of one task."""

    images: int
    prepared: int
    task: int


def dataset_sizes(profile: Profile, name: str, root: Path) -> Sizes:
    """Return the sizes of a dataset of the profile, whose sources are relative to `root`.

    Raises
    ------
    SuiteError
        If a source of an image folder does not exist.
    """
    options = dataset_options(profile, name)
    images, pixels, classes = KNOWN.get(options["kind"]) or _folder(
        options["kind"], sum(source_bytes(root / pointer) for pointer in open_dataset(name, options).pointers)
    )
    if "subset" in options:
        images = min(images, sum(options["subset"].values()))
    return Sizes(images, images * (pixels + 8) + 10_000, 40 * images + 16 * classes**2 + 100_000)


class Images(NamedTuple):
    """Of a data set: how many are trained and tested on, and their height and width in pixels."""

    training: int
    test: int
    side: int


SIDES = {"digits": 8, "clothes": 28}
"""Pixels in height and width; photographs say it themselves, all others are taken to be of CIFAR's size."""


def images_of(profile: Profile, name: str, root: Path) -> Images:
    """Return how many images a dataset has, and how large they are.

    Raises
    ------
    SuiteError
        As :func:`dataset_sizes`.
    """
    options = dataset_options(profile, name)
    side = SIDES.get(options["kind"]) or getattr(open_dataset(name, options), "size", 32)
    if "subset" in options:
        return Images(options["subset"]["train"], options["subset"]["test"], side)
    count = dataset_sizes(profile, name, root).images
    test = TESTED.get(options["kind"], count // 6)
    return Images(count - test, test, side)


def _folder(kind: str, size: int) -> tuple[int, int, int]:
    if kind == "photo-folder":
        return size // PHOTO_BYTES + 1, PHOTO_BYTES + KEY, FOLDER_CLASSES
    return size // FOLDER_BYTES_PER_IMAGE + 1, FOLDER_BYTES_PER_IMAGE * FOLDER_GROWTH, FOLDER_CLASSES


def source_bytes(source: Path) -> int:
    """Return the size of what a ``.dvc`` file pins, or of a file or folder of the user's own.

    Raises
    ------
    SuiteError
        If it does not exist.
    """
    if is_pointer(source.name):
        return read_pointer(source).size
    if not source.exists():
        raise SuiteError(f"{source} does not exist; it is configured as the source of a dataset")
    files = source.rglob("*") if source.is_dir() else [source]
    return sum(file.stat().st_size for file in files if file.is_file())


def encoder_bytes(model: dict[str, Any]) -> int:
    """Return the size of a pretrained encoder with its projection head.

    Raises
    ------
    SuiteError
        If there is no such model.
    """
    import torch

    from emlc.models import build_model
    from emlc.models.projector import PROJECTION_DIM

    options = {key: value for key, value in model.items() if key != "name"}
    encoder = build_model(model["name"], 1, 3, torch.Generator(), **options)
    tensors = encoder.state_dict().values()
    head = (encoder.feature_dim + 1) * (encoder.feature_dim + PROJECTION_DIM)
    return sum(tensor.nbytes for tensor in tensors) + 4 * head + 300 * len(tensors) + 10_000


def run_bytes(training: dict[str, Any], images: int) -> int:
    """Return the size of one run's files."""
    steps = training["epochs"] * (images // training["batch_size"] + 1)
    return 50_000 + 600 * training["epochs"] + 100 * steps
