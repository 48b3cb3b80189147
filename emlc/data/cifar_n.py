"""CIFAR-10N and CIFAR-100N: labels that people gave to the training images (Wei et al., ICLR 2022).

The label files are those of UCSC-REAL/cifar-10-100n. They are in the order of the python-version archives, and each
holds the true labels too, so that a wrong order cannot pass unnoticed.
"""

import io
import pickle
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
_REMEDY = "save it again, with torch.save or numpy.save, as a dictionary of NumPy arrays [N] of whole numbers"
_MAX_BYTES = 2**26
_ZIP, _NPY = b"PK", b"\x93NUMPY"

Labels = NDArray[np.int64]


def read_human_labels(path: Path, expected_md5: str, true_labels: Labels) -> dict[str, Labels]:
    """Return every set of human labels that a file has.

    The file is a dictionary of integer arrays that ``torch.save``, ``numpy.save`` or ``pickle.dump`` wrote.

    Parameters
    ----------
    path : Path
        ``CIFAR-10_human.pt``, ``CIFAR-100_human.pt``, or one like them.
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
        raise SuiteError(f"{path} has md5 {found} instead of {expected_md5}; put the pinned file in its place")
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
    """Read a pickled dictionary without torch, whatever program it was saved with."""
    try:
        data = path.read_bytes()
        pickled = _saved_by_torch(data) if data.startswith(_ZIP) else _saved_otherwise(data)
    except Exception as error:  # hostile bytes make zipfile fail in many ways
        raise unreadable(path, "label file", error, _REMEDY) from error
    return load_pickled_dict(pickled, str(path), _REMEDY)


def _saved_by_torch(data: bytes) -> bytes:
    """Return the pickle in what ``torch.save`` writes: a zip with a ``data.pkl``."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [info for info in archive.infolist() if info.filename.endswith("/data.pkl")]
        if len(members) != 1:
            raise ValueError("it was not written by torch.save")
        if members[0].file_size > _MAX_BYTES:
            raise ValueError(f"{members[0].filename} has {members[0].file_size:,} bytes")
        return archive.read(members[0])


def _saved_otherwise(data: bytes) -> bytes:
    """Return the pickle after the header that ``numpy.save`` writes, or a pickle as it is."""
    if data.startswith(pickle.PROTO):
        return data
    if not data.startswith(_NPY):
        raise ValueError("neither torch.save nor numpy.save nor pickle.dump wrote it")
    width = 2 if data[len(_NPY)] == 1 else 4  # of the header's length, by the format's version
    start = len(_NPY) + 2 + width
    return data[start + int.from_bytes(data[start - width : start], "little") :]


def _labels(path: Path, content: dict[str, Any], key: str) -> Labels:
    labels = content.get(key)
    if not isinstance(labels, np.ndarray) or labels.ndim != 1 or labels.dtype.kind not in "iu":
        found = f"{labels.dtype} {list(labels.shape)}" if isinstance(labels, np.ndarray) else type(labels).__name__
        raise SuiteError(f"{path} has no integer array {key!r} ({found if key in content else 'missing'}); {_REMEDY}")
    return labels.astype(np.int64)
