from dataclasses import replace

import numpy as np
import pytest

from emlc.data.key_lists import read_key_lists
from emlc.records.errors import SuiteError
from emlc.tasks.draw import GIVEN, TaskSpec, load_task, save_task
from emlc.tasks.listed import REAL, make_task_from_listing
from emlc.tasks.splits import LISTED
from tests.emlc.data.small_clothing1m import write_clothing1m


@pytest.fixture(scope="module")
def listing(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clothing1m")
    write_clothing1m(folder)
    return read_key_lists(folder)


def spec_of(listing, **changes):
    rate = round(1 - np.trace(listing.confusion) / listing.confusion.sum(), 4)
    facts = {"dataset": "clothing1m", "data_sha256": "ab" * 32, "kind": REAL, "rate": rate, "sampling": GIVEN}
    return TaskSpec(**{**facts, "split": LISTED, "clean_per_class": None, **changes})


def test_the_lists_are_the_task(listing):
    task = make_task_from_listing(listing, spec_of(listing), 3)
    for name in ("clean", "validation", "noisy"):
        indices = getattr(listing.split, name)
        assert np.array_equal(getattr(task, f"{name}_indices"), indices)
        assert np.array_equal(getattr(task, f"{name}_labels"), listing.train_labels[indices])
    assert len(task.true_labels) == 0
    assert np.array_equal(task.confusion, listing.confusion)
    assert task.effective_rate == pytest.approx(task.rate, abs=5e-5)
    totals = listing.confusion.sum(axis=1)
    np.testing.assert_allclose(task.matrix[totals > 0], (listing.confusion[totals > 0].T / totals[totals > 0]).T)
    assert "clean_per_class" not in task.facts
    assert listing.notes[0] in task.warnings


def test_seeds_differ_in_nothing_else(listing):
    first, second = (make_task_from_listing(listing, spec_of(listing), seed) for seed in (0, 1))
    assert replace(first, seed=1) == second
    assert first != second


def test_round_trip(listing, tmp_path):
    task = make_task_from_listing(listing, spec_of(listing), 0)
    save_task(task, tmp_path / "task.npz")
    loaded = load_task(tmp_path / "task.npz", expect_data_sha256="ab" * 32)
    assert loaded == task
    assert loaded.clean_per_class is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "sym"}, "has noise 'real', sampling given, split listed; not 'sym', given, listed"),
        ({"sampling": "per-label"}, "not 'real', per-label, listed"),
        ({"split": "balanced", "clean_per_class": 3}, "not 'real', given, balanced"),
        ({"rate": 0.1}, r"noise real of clothing1m has rate 0\.\d{4}, not 0\.1; correct the column's rate"),
    ],
)
def test_another_spec_is_refused(listing, changes, message):
    with pytest.raises(SuiteError, match=message):
        make_task_from_listing(listing, spec_of(listing, **changes), 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "listed", "clean_per_class": 3}, "clean_per_class is 3 for the listed split"),
        ({"split": "balanced", "clean_per_class": None}, "clean_per_class is None for the balanced split"),
        ({"validation_per_class": 2}, "listed split draws its own validation set"),
    ],
)
def test_sizes_are_for_splits_that_are_drawn(listing, changes, message):
    with pytest.raises(SuiteError, match=message):
        spec_of(listing, **changes)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda task: {"true_labels": task.noisy_labels}, "120 labels for"),
        (lambda task: {"confusion": np.zeros((14, 14), int)}, "images that bear both labels"),
        (lambda task: {"confusion": -task.confusion}, "images that bear both labels"),
        (lambda task: {"confusion": np.ones((3, 3), int)}, "images that bear both labels"),
        (lambda task: {"validation_indices": np.arange(28)}, "validation set meets"),
        (lambda task: {"clean_indices": np.arange(42)}, "noisy set of a listed split meet"),
    ],
)
def test_parts_that_do_not_fit_together_make_no_task(listing, edit, message):
    task = make_task_from_listing(listing, spec_of(listing), 0)
    with pytest.raises(SuiteError, match=message):
        replace(task, **edit(task))
