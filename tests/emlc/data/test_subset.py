"""Subsets: the sizes asked for, every class in proportion, always the same images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emlc.data import open_dataset
from emlc.data.cifar import Cifar10
from emlc.data.subset import stratified, subset_of
from emlc.records.errors import SuiteError
from tests.fixtures import write_cifar_archive


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.data())
def test_as_many_as_asked_for_in_proportion(sizes, data):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes)).astype(np.int64)
    smallest = -(-sum(sizes) // min(sizes))  # from here on no class's share is below one image
    count = data.draw(st.integers(min(smallest, sum(sizes)), sum(sizes)))
    chosen = stratified(labels, count, "train", "x")
    assert len(chosen) == len(set(chosen.tolist())) == count
    assert (np.diff(chosen) > 0).all()
    shares = np.bincount(labels[chosen], minlength=len(sizes))
    assert (np.abs(shares - np.array(sizes) * count / sum(sizes)) < 1).all()


def test_drawn_once_nested_and_not_the_first_ones():
    labels = np.repeat(np.arange(10), 100).astype(np.int64)
    small, large = stratified(labels, 100, "train", "x"), stratified(labels, 300, "train", "x")
    assert set(small) <= set(large)
    np.testing.assert_array_equal(small, stratified(labels, 100, "train", "x"))
    assert set(small) != set(stratified(labels, 100, "test", "x"))
    assert (small % 100).max() > 50


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (21, r"subset\.test is 21, but there are 20 images"),
        (9, r"subset\.test is 9: class 9 would be empty; take more"),
    ],
)
def test_impossible_sizes(count, message):
    with pytest.raises(SuiteError, match=message):
        stratified(np.repeat(np.arange(10), 2).astype(np.int64), count, "test", "x")


def test_a_profile_option_that_the_title_tells(tmp_path):
    write_cifar_archive(tmp_path / "cifar-10-python.tar.gz", images_per_class=6)
    options = {"kind": "cifar10", "source": "data/cifar10.dvc", "subset": {"train": 40, "test": 20}}
    dataset = open_dataset("c", options)
    whole = open_dataset("c", {key: value for key, value in options.items() if key != "subset"})
    assert dataset == subset_of(whole, 40, 20)
    assert dataset.title == "CIFAR-10, 40 images"
    assert subset_of(Cifar10(), 2000, 500).title == "CIFAR-10, 2,000 images"
    for fact in ("name", "released", "pointers", "class_map", "mean", "std", "flips"):
        assert getattr(dataset, fact) == getattr(whole, fact)
    arrays, full = (d.prepare((tmp_path / "cifar-10-python.tar.gz",)) for d in (dataset, whole))
    assert np.bincount(arrays.train_labels).tolist() == [4] * 10
    assert np.bincount(arrays.test_labels).tolist() == [2] * 10
    known = {image.tobytes(): label for image, label in zip(full.train_images, full.train_labels, strict=True)}
    images = zip(arrays.train_images, arrays.train_labels, strict=True)
    assert all(known[image.tobytes()] == label for image, label in images)


@pytest.mark.parametrize("value", [5, [1, 2], {"train": 5}, {"train": 5, "test": 0}, {"train": "5", "test": 5}, {}])
def test_other_forms_are_refused(value):
    with pytest.raises(SuiteError, match=r"datasets\.d\.options\.subset is .*; it must be \{train: N, test: M\}"):
        open_dataset("d", {"kind": "digits", "subset": value})
