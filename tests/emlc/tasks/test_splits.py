import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emlc.records.errors import SuiteError
from emlc.tasks.splits import SPLITS, balanced_split, held_out_split, overlap_counts, released_split

OVERLAPS = ("clean_in_noisy", "validation_in_noisy", "clean_in_validation", "clean_labels_used")


def cifar_labels(num_classes):
    return np.repeat(np.arange(num_classes), 50_000 // num_classes)


@st.composite
def label_vectors(draw):
    sizes = draw(st.lists(st.integers(2, 12), min_size=2, max_size=8))
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(draw(st.integers(0, 99))).permutation(labels), min(sizes)


@settings(deadline=None)
@given(drawn=label_vectors(), data=st.data(), seed=st.integers(0, 2**63 - 1))
def test_balanced_split_is_balanced_and_disjoint(drawn, data, seed):
    labels, smallest = drawn
    per_class = data.draw(st.integers(1, smallest - 1))
    split = balanced_split(labels, per_class, seed)
    assert (np.bincount(labels[split.clean]) == per_class).all()
    assert np.array_equal(split.clean, split.validation)
    assert not np.intersect1d(split.clean, split.noisy).size
    assert np.array_equal(np.sort(np.concatenate([split.clean, split.noisy])), np.arange(len(labels)))
    for indices in (split.clean, split.noisy):
        assert indices.dtype == np.int64
        assert (np.diff(indices) > 0).all()


def test_balanced_split_takes_every_image_equally_often():
    labels = np.repeat(np.arange(2), 10)
    drawn = np.concatenate([balanced_split(labels, 3, seed).clean for seed in range(2000)])
    assert np.allclose(np.bincount(drawn, minlength=20) / 2000, 0.3, atol=0.08)  # 7.8 standard deviations


@pytest.mark.parametrize("name", SPLITS)
def test_seeds(name):
    labels = np.arange(500) % 10
    first, again, other = (SPLITS[name](labels, 5, seed) for seed in (3, 3, 4))
    for part in ("clean", "validation", "noisy"):
        assert np.array_equal(getattr(first, part), getattr(again, part))
        assert not np.array_equal(getattr(first, part), getattr(other, part))


def test_classes_may_come_in_any_order():
    labels = np.arange(60) % 3
    order = np.random.default_rng(0).permutation(60)
    for split in (balanced_split(labels[order], 4, 1), released_split(labels[order], 4, 1)):
        assert (np.bincount(labels[order][split.clean]) == 4).all()
        assert (np.bincount(labels[order][split.validation]) == 4).all()
        assert (np.bincount(labels[order][split.noisy]) == 16).all()


@pytest.mark.parametrize(
    ("num_classes", "seed", "counts"),
    [
        (10, 0, (982, 985, 18, 1982)),
        (10, 1, (978, 978, 17, 1983)),
        (10, 2, (980, 982, 19, 1981)),
        (100, 0, (976, 983, 26, 1974)),
        (100, 1, (970, 984, 17, 1983)),
        (100, 2, (982, 980, 20, 1980)),
    ],
)
def test_released_split_overlaps_as_the_public_code(num_classes, seed, counts):
    labels = cifar_labels(num_classes)
    split = released_split(labels, 1000 // num_classes, seed)
    assert overlap_counts(split) == dict(zip(OVERLAPS, counts, strict=True))
    assert (len(split.clean), len(split.validation), len(split.noisy)) == (1000, 1000, 49_000)


@pytest.mark.parametrize(("num_classes", "unused"), [(10, 967), (100, 959)])
def test_released_split_leaves_images_unused(num_classes, unused):
    split = released_split(cifar_labels(num_classes), 1000 // num_classes, 0)
    used = np.unique(np.concatenate([split.clean, split.validation, split.noisy]))
    assert 50_000 - len(used) == unused


def test_released_split_counts_do_not_depend_on_the_order_of_images():
    labels = np.random.default_rng(0).permutation(cifar_labels(10))
    assert overlap_counts(released_split(labels, 100, 0)) == dict(zip(OVERLAPS, (982, 985, 18, 1982), strict=True))


def test_balanced_split_overlaps():
    split = balanced_split(np.arange(100) % 10, 2, 0)
    assert overlap_counts(split) == dict(zip(OVERLAPS, (0, 0, 20, 20), strict=True))


def test_released_split_leaves_the_global_random_state_alone():
    before = np.random.get_state()[1].copy()
    released_split(np.arange(100) % 10, 2, 0)
    assert np.array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.parametrize(
    ("labels", "per_class", "message"),
    [
        ([0, 0, 0, 1, 1], 0, "at least 1"),
        ([0, 0, 0, 1, 1], -1, "at least 1"),
        ([0, 0, 0, 1, 1], 3, "class 1 has only 2"),
        ([0, 0, 2, 2], 1, "class 1 has only 0"),
        ([0, 0, 1, 1], 2, "leave none for the noisy set"),
        ([], 1, "empty"),
    ],
)
def test_impossible_splits_are_refused_in_one_line(name, labels, per_class, message):
    with pytest.raises(SuiteError, match=message) as refusal:
        SPLITS[name](np.array(labels, np.int64), per_class, 0)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_released_split_refuses_seeds_that_the_public_code_cannot_take(seed):
    with pytest.raises(SuiteError, match="2\\*\\*32"):
        released_split(np.arange(100) % 10, 2, seed)


@settings(deadline=None)
@given(drawn=label_vectors(), data=st.data(), seed=st.integers(0, 2**63 - 1))
def test_held_out_split_has_three_sets_that_never_meet(drawn, data, seed):
    labels, smallest = drawn
    if smallest < 3:
        return
    per_class = data.draw(st.integers(1, smallest - 2))
    validation = data.draw(st.integers(1, smallest - 1 - per_class))
    split = held_out_split(labels, per_class, validation, seed)
    assert (np.bincount(labels[split.clean]) == per_class).all()
    assert (np.bincount(labels[split.validation]) == validation).all()
    parts = [split.clean, split.validation, split.noisy]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(labels)))
    assert np.array_equal(split.clean, balanced_split(labels, per_class, seed).clean)
    for indices in parts:
        assert indices.dtype == np.int64
        assert (np.diff(indices) > 0).all()


def test_held_out_split_validates_on_every_image_equally_often():
    labels = np.repeat(np.arange(2), 10)
    drawn = np.concatenate([held_out_split(labels, 3, 2, seed).validation for seed in range(2000)])
    assert np.allclose(np.bincount(drawn, minlength=20) / 2000, 0.2, atol=0.07)  # 7.8 standard deviations


@pytest.mark.parametrize(
    ("labels", "per_class", "validation", "message"),
    [
        ([0, 0, 0, 1, 1, 1], 0, 1, "at least 1 image per class each, not 0 and 1"),
        ([0, 0, 0, 1, 1, 1], 1, 0, "at least 1 image per class each, not 1 and 0"),
        ([0, 0, 0, 0, 1, 1], 2, 1, "3 clean images per class were asked for, but class 1 has only 2"),
        ([0, 0, 0, 1, 1, 1], 2, 1, "3 clean images per class leave none for the noisy set"),
    ],
)
def test_impossible_held_out_splits_are_refused_in_one_line(labels, per_class, validation, message):
    with pytest.raises(SuiteError, match=message) as refusal:
        held_out_split(np.array(labels), per_class, validation, 0)
    assert "\n" not in str(refusal.value)
