"""Human labels on disk: what people called each training image, in the order of a dataset's prepared arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emlc.data.base import Dataset
from emlc.data.cifar_n import LABEL_SETS, read_human_labels
from emlc.data.subset import train_positions, whole_of
from emlc.records.artefacts import canonical_json, sha256_bytes
from emlc.records.bundles import read_bundle, write_bundle
from emlc.records.errors import SuiteError

SCHEMA = "emlc.human/1"
PREFIX = "human-"
"""What the noise kind of human labels begins with; the label set's name follows, e.g. ``human-worst``."""

Labels = NDArray[np.int64]

KINDS = tuple(PREFIX + name for name in LABEL_SETS)
"""Noise kinds that a profile can ask for; which of them there are, depends on the dataset's label file."""

_ARRAYS = {"true_labels": "<i8", "labels": "<i8"}
_REMEDY = "delete it and run python -m pipelines.human"


@dataclass(frozen=True)
class HumanLabels:
    """Every label set of one dataset.

    Attributes
    ----------
    true_labels : ndarray of int64 [N]
    labels : ndarray of int64 [S, N]
        One row per label set, in the order of `rates`.
    rates : mapping of str to float
        Label set -> fraction of wrong labels in the whole training set, also where these labels are of a subset.
    """

    true_labels: Labels
    labels: Labels
    rates: Mapping[str, float]

    def of(self, kind: str, rate: float, true_labels: Labels) -> Labels:
        """Return the labels [N] of a noise kind.

        Parameters
        ----------
        kind : str
            e.g. ``human-worst``.
        rate : float
            What the profile says of it, to four digits.
        true_labels : ndarray of int64 [N]
            Of the prepared arrays that the labels are for.

        Raises
        ------
        SuiteError
            If there is no such label set, it has another rate, or the labels are those of other images.
        """
        names = [PREFIX + name for name in self.rates]
        if kind not in names:
            raise SuiteError(f"there are no labels {kind}; the label file has {', '.join(names)}")
        known = self.rates[kind.removeprefix(PREFIX)]
        if rate != round(known, 4):
            raise SuiteError(f"noise {kind} has rate {known:.4f}, not {rate}; correct the column's rate")
        if not np.array_equal(true_labels, self.true_labels):
            raise SuiteError("the human labels are of other images than the prepared arrays; delete both, run again")
        return self.labels[names.index(kind)]


def prepare_human_labels(dataset: Dataset, files: tuple[Path, ...], label_file: Path, md5: str) -> HumanLabels:
    """Read a label file for a dataset, checking its order on the whole training set, also if the dataset is a subset.

    Parameters
    ----------
    dataset : Dataset
    files : tuple of Path
        As for its ``prepare``.
    label_file : Path
    md5 : str
        The pinned checksum of `label_file`.

    Raises
    ------
    SuiteError
        As ``prepare`` and :func:`emlc.data.cifar_n.read_human_labels`.
    """
    true_labels = whole_of(dataset).prepare(files).train_labels
    human = read_human_labels(label_file, md5, true_labels)
    kept = train_positions(dataset, true_labels)
    return HumanLabels(
        true_labels[kept],
        np.stack([human[name][kept] for name in sorted(human)]),
        {name: float(np.mean(human[name] != true_labels)) for name in sorted(human)},
    )


def save_human_labels(path: Path, human: HumanLabels) -> None:
    """Write human labels to an ``.npz`` file, atomically; equal labels give equal bytes.

    Raises
    ------
    SuiteError
        If the file cannot be written.
    """
    write_bundle(path, {**_facts(human), "sha256": _digest(human)}, {name: getattr(human, name) for name in _ARRAYS})


def load_human_labels(path: Path) -> HumanLabels:
    """Read what :func:`save_human_labels` wrote.

    Raises
    ------
    SuiteError
        If the file is missing, damaged, edited or something else.
    """
    meta, arrays = read_bundle(path, _ARRAYS, _REMEDY)
    if not isinstance(meta, dict) or meta.get("schema") != SCHEMA or not _are_rates(meta.get("rates")):
        raise SuiteError(f"{path} is not a file of human labels of schema {SCHEMA}; {_REMEDY}")
    human = HumanLabels(rates=meta["rates"], **arrays)
    if human.labels.shape != (len(human.rates), *human.true_labels.shape) or meta.get("sha256") != _digest(human):
        raise SuiteError(f"{path}: content and sha256 do not agree, so it was edited or damaged; {_REMEDY}")
    return human


def _are_rates(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(rate, float) for rate in value.values())


def _facts(human: HumanLabels) -> dict[str, Any]:
    return {"schema": SCHEMA, "rates": dict(human.rates)}


def _digest(human: HumanLabels) -> str:
    return sha256_bytes(
        canonical_json(_facts(human)).encode(), human.true_labels.astype("<i8").tobytes(), human.labels.tobytes()
    )
