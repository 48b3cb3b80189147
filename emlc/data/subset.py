"""A small part of a dataset, for trials: some images of every class, always the same ones."""

from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emlc.data.base import Arrays, Dataset
from emlc.data.image_files import Files
from emlc.data.listing import Keys, Listing
from emlc.data.on_disk import OnDisk, is_on_disk
from emlc.noise.class_maps import GivenMap
from emlc.records.errors import SuiteError
from emlc.tasks.seeds import derive_seed


@dataclass(frozen=True)
class Subset:
    """`train` and `test` images of another dataset, in its order and its proportions of classes.

    Its title says so, e.g. ``CIFAR-10, 2,000 images``, and nothing else differs.
    """

    name: str
    title: str
    released: str
    pointers: tuple[str, ...]
    class_map: GivenMap
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flips: bool
    whole: Dataset
    train: int
    test: int

    def prepare(self, files: tuple[Path, ...]) -> Arrays:
        """Prepare the whole dataset and keep the subset.

        Raises
        ------
        SuiteError
            As the whole dataset does, or if it has too few images.
        """
        arrays = self.whole.prepare(files)
        train = train_positions(self, arrays.train_labels)
        test = stratified(arrays.test_labels, self.test, "test", self.name)
        return Arrays(
            arrays.train_images[train],
            arrays.train_labels[train],
            arrays.test_images[test],
            arrays.test_labels[test],
            arrays.class_names,
        )


@dataclass(frozen=True)
class ListedSubset(Subset):
    """The same of a dataset whose images stay on disk."""

    whole: OnDisk
    preprocessing: str
    side: int
    size: int
    brings_labels: bool

    def listing(self, files: tuple[Path, ...]) -> Listing:
        """List the whole dataset and keep the subset; errors as :meth:`Subset.prepare`."""
        listing = self.whole.listing(files)
        train = train_positions(self, listing.train_labels)
        test = stratified(listing.test_labels, self.test, "test", self.name)
        return replace(
            listing,
            train_keys=listing.train_keys[train],
            train_labels=listing.train_labels[train],
            test_keys=listing.test_keys[test],
            test_labels=listing.test_labels[test],
        )

    def images(self, files: tuple[Path, ...], keys: Keys) -> Files:
        """Return where the images of some keys lie."""
        return self.whole.images(files, keys)

    def identified_by(self, folder: Path) -> list[Path]:
        """Return what tells copies of the whole dataset apart."""
        return self.whole.identified_by(folder)


def subset_of(whole: Dataset, train: int, test: int) -> Subset:
    """Return the subset of `train` training and `test` test images."""
    kind = ListedSubset if is_on_disk(whole) else Subset
    return kind(
        name=whole.name,
        title=f"{whole.title}, {train:,} images",
        released=whole.released,
        pointers=whole.pointers,
        class_map=whole.class_map,
        mean=whole.mean,
        std=whole.std,
        flips=whole.flips,
        whole=whole,
        train=train,
        test=test,
        **{field.name: getattr(whole, field.name) for field in fields(kind)[len(fields(Subset)) :]},
    )


def whole_of(dataset: Dataset) -> Dataset:
    """Return the dataset that `dataset` is a subset of; itself if it is none."""
    return dataset.whole if isinstance(dataset, Subset) else dataset


def train_positions(dataset: Dataset, whole_labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where the training images of `dataset` stand in the training set of :func:`whole_of` it, ascending.

    Parameters
    ----------
    dataset : Dataset
    whole_labels : ndarray of int64 [N]
        True training labels of the whole dataset.

    Raises
    ------
    SuiteError
        As :func:`stratified`.
    """
    if not isinstance(dataset, Subset):
        return np.arange(len(whole_labels))
    return stratified(whole_labels, dataset.train, "train", dataset.name)


def stratified(labels: NDArray[np.int64], count: int, split: str, name: str) -> NDArray[np.int64]:
    """Return `count` positions, ascending, with every class in the proportion that it has in `labels`.

    Drawn from ``derive_seed("subset", name, split)``, so neither run seeds nor noise change them, and a smaller subset
    of balanced classes is part of a larger one.

    Parameters
    ----------
    labels : ndarray of int64 [N]
    count : int
    split : {"train", "test"}
    name : str
        The dataset's, for its seed and for errors.

    Raises
    ------
    SuiteError
        If there are fewer than `count` images, or so few are wanted that a class would be empty.
    """
    if count > len(labels):
        raise SuiteError(f"datasets.{name}.options.subset.{split} is {count}, but there are {len(labels)} images")
    present, sizes = np.unique(labels, return_counts=True)
    quotas = _apportioned(sizes, count)
    if not quotas.all():
        empty = int(present[quotas.argmin()])
        raise SuiteError(f"datasets.{name}.options.subset.{split} is {count}: class {empty} would be empty; take more")
    rng = np.random.default_rng(derive_seed("subset", name, split))
    chosen = [
        rng.permutation(np.flatnonzero(labels == label))[:quota] for label, quota in zip(present, quotas, strict=True)
    ]
    return np.sort(np.concatenate(chosen))


def _apportioned(sizes: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Split `count` in proportion to `sizes` by largest remainders, ties to the lower class."""
    exact = sizes * count
    quotas = exact // sizes.sum()
    remainders = exact % sizes.sum()
    quotas[np.argsort(-remainders, kind="stable")[: count - quotas.sum()]] += 1
    return quotas
