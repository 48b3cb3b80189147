"""Key lists and label files in the layout of Clothing1M's original release.

https://github.com/Cysu/noisy_label describes it: ``*_key_list.txt`` has the path of an image in each line,
``*_label_kv.txt`` such a path, a space and a class. Names have commas, and the label files more images than the lists.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emlc.data.listing import Keys, Listing
from emlc.noise.matrices import Labels
from emlc.records.errors import SuiteError
from emlc.tasks.splits import Split

CLASS_NAMES = (
    *("T-Shirt", "Shirt", "Knitwear", "Chiffon", "Sweater", "Hoodie", "Windbreaker"),
    *("Jacket", "Downcoat", "Suit", "Shawl", "Dress", "Vest", "Underwear"),
)

PREFIX = b"images/"
"""What every key begins with; some keep the ten image folders directly below the data folder, without this one."""

LISTS = {
    "noisy": "noisy_train_key_list.txt",
    "clean": "clean_train_key_list.txt",
    "validation": "clean_val_key_list.txt",
    "test": "clean_test_key_list.txt",
}
LABELS = {"noisy": "noisy_label_kv.txt", "clean": "clean_label_kv.txt"}

SIZES = {"noisy": 1_000_000, "clean": 47_570, "validation": 14_313, "test": 10_526}
"""Images of the original lists."""


@dataclass(frozen=True)
class _Lists:
    """Keys of every list, in file order, and both label files."""

    keys: Mapping[str, list[bytes]]
    noisy_of: Mapping[bytes, int]
    clean_of: Mapping[bytes, int]


def read_key_lists(folder: Path) -> Listing:
    """Read the key lists and label files of a copy of Clothing1M; no image is opened.

    The lists say which images a set has, and the label files may hold more: 37,497 images have a noisy label and a
    clean one, and are in the clean lists only. They tell how wrong noisy labels are, and nothing is trained on their
    noisy labels.

    Parameters
    ----------
    folder : Path
        With the lists and label files, or with them in ``annotations/``.

    Returns
    -------
    Listing
        Training images are the noisy list, the clean training list and the validation list, in this order, each in
        file order.

    Raises
    ------
    SuiteError
        If a file is missing (all that are, are named) or a line is not of its form; a key has no label, is in a list
        twice or in two lists; or no image has both labels.
    """
    lists = _read_lists(Path(folder))
    keys = lists.keys
    labels = {
        name: _labels_of(keys[name], lists.noisy_of if name == "noisy" else lists.clean_of, LISTS[name])
        for name in LISTS
    }
    trained_on = ("noisy", "clean", "validation")
    return Listing(
        train_keys=np.array([key for name in trained_on for key in keys[name]]),
        train_labels=np.concatenate([labels[name] for name in trained_on]),
        test_keys=np.array(keys["test"]),
        test_labels=labels["test"],
        split=_split(*(len(keys[name]) for name in trained_on)),
        confusion=_confusion(lists),
        class_names=CLASS_NAMES,
        notes=_notes({name: len(listed) for name, listed in keys.items()}),
    )


def image_root(folder: Path) -> Path:
    """Return the folder that keys without their ``images/`` are relative to.

    Raises
    ------
    SuiteError
        If there is neither ``images/`` nor an image folder ``0`` in `folder`.
    """
    for root in (folder / "images", folder):
        if (root / "0").is_dir():
            return root
    raise SuiteError(f"{folder} has no images: neither images/0 to images/9 (unpack 0.tar to 9.tar there) nor 0 to 9")


def without_prefix(keys: Keys) -> Keys:
    """Return keys below :func:`image_root`: what follows ``images/``."""
    return np.array([key.removeprefix(PREFIX) for key in keys.tolist()])


def annotation_files(folder: Path) -> list[Path]:
    """Return the lists and label files of a copy that are there."""
    return [path for path in _annotations(folder) if path.is_file()]


def _annotations(folder: Path) -> list[Path]:
    home = folder / "annotations" if (folder / "annotations").is_dir() else folder
    return [home / name for name in (*LISTS.values(), *LABELS.values())]


def _read_lists(folder: Path) -> _Lists:
    files = _annotations(folder)
    home = files[0].parent
    if missing := [path.name for path in files if not path.is_file()]:
        raise SuiteError(
            f"{home} is no copy of Clothing1M: it has no {', '.join(missing)}; ask its authors for the data "
            "(https://github.com/Cysu/noisy_label) and unpack annotations.zip there"
        )
    keys = {name: _read_keys(home / file) for name, file in LISTS.items()}
    _check_disjoint(keys)
    return _Lists(keys, *(_read_labels(home / LABELS[name]) for name in ("noisy", "clean")))


def _read_keys(path: Path) -> list[bytes]:
    keys = []
    for number, line in _lines(path):
        if not line.startswith(PREFIX) or b".." in line.split(b"/"):
            raise SuiteError(f"{path}, line {number}: {_shown(line)} is not the key of an image, images/.../name.jpg")
        keys.append(line)
    if not keys:
        raise SuiteError(f"{path} lists no image")
    return keys


def _read_labels(path: Path) -> dict[bytes, int]:
    labels = {}
    for number, line in _lines(path):
        key, _, label = line.rpartition(b" ")  # names have commas, and may have spaces
        if not key or not label.isdigit() or int(label) >= len(CLASS_NAMES):
            wanted = f"a key, a space and a class from 0 to {len(CLASS_NAMES) - 1}"
            raise SuiteError(f"{path}, line {number}: {_shown(line)} is not {wanted}")
        labels[key] = int(label)
    return labels


def _lines(path: Path) -> list[tuple[int, bytes]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SuiteError(f"cannot read {path}: {error.strerror or error}") from error
    stripped = ((number, line.strip()) for number, line in enumerate(content.split(b"\n"), start=1))
    return [(number, line) for number, line in stripped if line]


def _check_disjoint(keys: Mapping[str, list[bytes]]) -> None:
    owner: dict[bytes, str] = {}
    for name, listed in keys.items():
        for key in listed:
            if key in owner:
                raise SuiteError(f"image {_shown(key)} is listed twice: in {LISTS[owner[key]]} and in {LISTS[name]}")
            owner[key] = name


def _labels_of(keys: list[bytes], label_of: Mapping[bytes, int], file: str) -> Labels:
    try:
        return np.array([label_of[key] for key in keys], np.int64)
    except KeyError as error:
        raise SuiteError(f"image {_shown(error.args[0])} of {file} has no label") from None


def _split(noisy: int, clean: int, validation: int) -> Split:
    positions = np.arange(noisy + clean + validation)
    return Split(noisy=positions[:noisy], clean=positions[noisy : noisy + clean], validation=positions[noisy + clean :])


def _notes(sizes: Mapping[str, int]) -> tuple[str, ...]:
    if sizes == SIZES:
        return ()
    here, there = (" + ".join(f"{counts[name]:,}" for name in LISTS) for counts in (sizes, SIZES))
    return (f"not all of Clothing1M: {here} images instead of {there} (noisy, clean, validation, test)",)


def _confusion(lists: _Lists) -> np.ndarray:
    counts = np.zeros((len(CLASS_NAMES), len(CLASS_NAMES)), np.int64)
    for key, true_label in lists.clean_of.items():
        if key in lists.noisy_of:
            counts[true_label, lists.noisy_of[key]] += 1
    if not counts.any():
        raise SuiteError(f"no image is in both {LABELS['clean']} and {LABELS['noisy']}: the noise is unknown")
    return counts


def _shown(text: bytes) -> str:
    return repr(text.decode("utf-8", "replace"))[:120]
