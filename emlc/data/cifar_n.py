"""CIFAR-10N and CIFAR-100N: labels that people gave to the training images (Wei et al., ICLR 2022).

The label files are those of UCSC-REAL/cifar-10-100n. They are in the order of the python-version archives, and each
holds the true labels too, so that a wrong order cannot pass unnoticed.
"""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emlc.data.safe_pickle import load_pickled_dict
from emlc.data.unreadable import unreadable
from emlc.records.artefacts import file_digest
from emlc.records.errors import SuiteError

LABEL_SETS = {
    "aggre": "aggre_label",
    "random1": "random_label1",
    "random2": "random_label2",
    "random3": "random_label3",
    "worst": "worse_label",
    "noisy": "noisy_label",
}
"""Name of a label set -> its key in the file. CIFAR-10N has the first five, CIFAR-100N the last."""

_TRUE_LABELS = "clean_label"
_MAX_BYTES = 2**26

Labels = NDArray[np.int64]


def read_human_labels(path: Path, expected_md5: str, true_labels: Labels) -> dict[str, Labels]:
    """Return every set of human labels that a file has.

    Parameters
    ----------
    path : Path
        ``CIFAR-10_human.pt`` or ``CIFAR-100_human.pt``.
    expected_md5 : str
        The pinned checksum of that file.
    true_labels : ndarray of int64 [N]
        The dataset's own training labels, all of them, in its order.

    Returns
    -------
    dict of str to ndarray of int64 [N]
        By keys of :data:`LABEL_SETS`; one label per training image, in the same order.

    Raises
    ------
    SuiteError
        If the file is missing or has another checksum, has no label set, or its true labels are not the dataset's
        (another dataset, another order, or only a part of it).
    """
    found = file_digest(path, "md5")
    if found != expected_md5:
        raise SuiteError(f"{path} has md5 {found} instead of {expected_md5}; delete it and fetch it again")
    content = _read(path)
    clean = _labels(path, content, _TRUE_LABELS)
    if not np.array_equal(clean, true_labels):
        raise SuiteError(
            f"{path}: its true labels ({len(clean):,} images) are not those of the dataset ({len(true_labels):,} "
            "images, in this order); human labels need the whole training set in the official order"
        )
    human = {name: _labels(path, content, key) for name, key in LABEL_SETS.items() if key in content}
    if not human:
        raise SuiteError(f"{path} has none of the label sets {', '.join(LABEL_SETS.values())}")
    for name, labels in human.items():
        if labels.shape != clean.shape or labels.min(initial=0) < 0 or labels.max(initial=0) > clean.max(initial=0):
            raise SuiteError(f"{path}: the labels {name!r} do not fit its true labels")
    return human


def _read(path: Path) -> dict[str, Any]:
    """Read what ``torch.save`` wrote, without torch: a zip whose ``data.pkl`` is a pickled dictionary."""
    try:
        with zipfile.ZipFile(path) as archive:
            (member,) = (info for info in archive.infolist() if info.filename.endswith("/data.pkl"))
            if member.file_size > _MAX_BYTES:
                raise ValueError(f"{member.filename} has {member.file_size:,} bytes")
            data = archive.read(member)
    except Exception as error:  # hostile bytes make zipfile fail in many ways
        raise unreadable(path, "label file", error) from error
    return load_pickled_dict(data, str(path))


def _labels(path: Path, content: dict[str, Any], key: str) -> Labels:
    labels = content.get(key)
    if not isinstance(labels, np.ndarray) or labels.ndim != 1 or labels.dtype.kind != "i":
        raise SuiteError(f"{path} has no integer array {key!r}")
    return labels.astype(np.int64)
