"""Photographs in class folders that stay on disk: ``train/<class>/<name>``, ``test/<class>/<name>``, and no others."""

from pathlib import Path

import numpy as np

from emlc.data.image_files import SUFFIXES
from emlc.data.listing import Keys, Listing
from emlc.noise.matrices import Labels
from emlc.records.errors import SuiteError

TRAINING = ("train", "validation")
"""Folders of training images; the second one may be missing. Which of all of them validate, the task draws."""


def list_folders(root: Path) -> Listing:
    """List the images of a folder, of any size, class by class in order of their names; none is opened.

    Parameters
    ----------
    root : Path
        With ``train``, ``test`` and, if there is one, ``validation``, which is added to the training images.

    Returns
    -------
    Listing
        All labels are true; classes are the folders of ``train``, sorted.

    Raises
    ------
    SuiteError
        If ``train`` has fewer than two class folders, ``test`` or ``validation`` has others, or one has no image.
    """
    classes = _classes(root, "train")
    if len(classes) < 2:
        raise SuiteError(f"{root} has {len(classes)} class folders; it needs train/<class>/<name>, two classes or more")
    parts = [_listed(root, part, classes) for part in (*TRAINING, "test") if part == "test" or (root / part).is_dir()]
    *training, (test_keys, test_labels) = parts
    return Listing(
        train_keys=np.concatenate([keys for keys, _ in training]),
        train_labels=np.concatenate([labels for _, labels in training]),
        test_keys=test_keys,
        test_labels=test_labels,
        split=None,
        confusion=np.zeros((len(classes), len(classes)), np.int64),
        class_names=classes,
    )


def _classes(root: Path, part: str) -> tuple[str, ...]:
    folder = root / part
    found = folder.iterdir() if folder.is_dir() else ()
    return tuple(sorted(path.name for path in found if path.is_dir() and not path.name.startswith(".")))


def _listed(root: Path, part: str, classes: tuple[str, ...]) -> tuple[Keys, Labels]:
    if (found := _classes(root, part)) != classes:
        other = sorted(set(found) ^ set(classes))[0]
        raise SuiteError(f"{root}: train and {part} have different class folders; {other!r} is only in one")
    keys, labels = [], []
    for label, name in enumerate(classes):
        files = sorted(path for path in (root / part / name).iterdir() if path.suffix.lower() in SUFFIXES)
        if not files:
            raise SuiteError(f"{root}: class {f'{part}/{name}'!r} has no image")
        keys += [path.relative_to(root).as_posix().encode() for path in files]
        labels += [label] * len(files)
    return np.array(keys), np.array(labels, np.int64)
