import hashlib
import json
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emlc.data.base import Arrays
from emlc.noise import class_maps
from emlc.noise.instances import INSTANCE_KINDS, corrupt_images
from emlc.noise.matrices import KINDS, SAMPLERS, transition_matrix
from emlc.records.bundles import META, read_bundle, write_bundle
from emlc.records.errors import SuiteError
from emlc.tasks.draw import (
    GIVEN,
    TaskSpec,
    load_task,
    make_task,
    make_task_from_labels,
    make_task_from_matrix,
    save_task,
)
from emlc.tasks.seeds import derive_seed
from emlc.tasks.splits import SPLITS, held_out_split

SPEC = TaskSpec(
    dataset="digits",
    data_sha256="ab" * 32,
    kind="sym",
    rate=0.5,
    sampling="per-label",
    split="balanced",
    clean_per_class=3,
)
ARRAY_NAMES = (
    *("clean_indices", "clean_labels", "validation_indices", "validation_labels"),
    *("noisy_indices", "noisy_labels", "true_labels", "matrix", "confusion"),
)


def dataset(per_class=40, num_classes=10):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(num_classes), per_class))
    images = np.zeros((len(labels), 1, 1, 1), np.uint8)
    names = tuple(str(label) for label in range(num_classes))
    return Arrays(images, labels, images, labels, names)


def task_of(seed=0, arrays=None, class_map=class_maps.MNIST, **changes):
    return make_task(arrays or dataset(), replace(SPEC, **changes), class_map, seed)


@pytest.fixture
def path(tmp_path):
    save_task(task_of(), tmp_path / "task.npz")
    return tmp_path / "task.npz"


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    rate=st.floats(0, 1),
    sampling=st.sampled_from(sorted(SAMPLERS)),
    per_class=st.integers(1, 39),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_task_is_consistent(kind, rate, sampling, per_class, seed):
    arrays = dataset()
    task = task_of(seed, arrays, kind=kind, rate=rate, sampling=sampling, clean_per_class=per_class)
    assert not np.intersect1d(task.clean_indices, task.noisy_indices).size
    assert len(task.clean_indices) + len(task.noisy_indices) == 400
    assert np.array_equal(task.clean_labels, arrays.train_labels[task.clean_indices])
    assert np.array_equal(task.validation_indices, task.clean_indices)
    assert np.array_equal(task.validation_labels, task.clean_labels)
    assert np.array_equal(task.true_labels, arrays.train_labels[task.noisy_indices])
    assert np.array_equal(task.matrix, transition_matrix(kind, rate, 10, class_maps.MNIST))
    assert (task.matrix[task.true_labels, task.noisy_labels] > 0).all()
    expected = np.zeros((10, 10), int)
    np.add.at(expected, (task.true_labels, task.noisy_labels), 1)
    assert np.array_equal(task.confusion, expected)
    assert task.effective_rate == pytest.approx(1 - np.trace(expected) / len(task.noisy_indices))
    assert task.num_classes == 10


def test_a_task_is_drawn_again_from_its_seed():
    assert task_of(5) == task_of(5)
    assert task_of(5).sha256 == task_of(5).sha256
    assert task_of(5) != task_of(6)
    assert len({task_of(5), task_of(5), task_of(6)}) == 2


def test_noise_levels_of_a_seed_share_the_split():
    first = task_of(1)
    for changes in ({"kind": "flip"}, {"rate": 0.9}, {"sampling": "exact-count"}):
        other = task_of(1, **changes)
        assert np.array_equal(first.clean_indices, other.clean_indices)
        assert not np.array_equal(first.noisy_labels, other.noisy_labels)
    for changes in ({"seed": 2}, {"dataset": "other"}, {"clean_per_class": 4}):
        assert not np.array_equal(first.clean_indices, task_of(**{"seed": 1, **changes}).clean_indices)


def test_every_axis_of_the_noise_gives_other_noise():
    base = task_of(1, kind="sym", rate=0.9)
    # Where the matrix is the same, only the seed's axes can make the difference.
    assert not np.array_equal(base.noisy_labels, task_of(1, kind="sym", rate=0.9 - 1e-12).noisy_labels)
    assert not np.array_equal(base.noisy_labels, task_of(1, rate=0.9, dataset="other").noisy_labels)
    assert not np.array_equal(base.noisy_labels, task_of(2, rate=0.9).noisy_labels)


def test_whole_rates_are_the_same_as_float_rates():
    assert task_of(rate=1) == task_of(rate=1.0)


def test_released_split_is_the_one_of_the_public_code():
    labels = np.repeat(np.arange(10), 5000)
    images = np.zeros((1, 1, 1, 1), np.uint8)
    arrays = Arrays(images, labels, images, labels, tuple("0123456789"))
    task = task_of(2, arrays, split="released", clean_per_class=100)
    assert np.array_equal(task.clean_indices, SPLITS["released"](labels, 100, 2).clean)
    assert np.array_equal(task.validation_labels, labels[task.validation_indices])
    assert task.warnings == ("980 of 1000 clean images are also in the noisy set (split released)",)


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        ({"rate": 0.9}, False),
        ({"kind": "sym-exclusive", "rate": 0.9}, True),
        ({"kind": "asym", "rate": 0.4}, False),
        ({"kind": "asym", "rate": 0.5}, True),
    ],
)
def test_noise_that_the_paper_excludes_is_warned_of(changes, warned):
    warnings = task_of(**changes).warnings
    assert [("diagonally dominant" in text, changes["kind"] in text) for text in warnings] == [(True, True)] * warned


def test_given_labels():
    arrays = dataset()
    given = arrays.train_labels.copy()
    given[::4] = (given[::4] + 1) % 10
    spec = replace(SPEC, kind="human-aggre", rate=0.2501, sampling=GIVEN)
    task = make_task_from_labels(arrays, spec, given, 3)
    assert (task.kind, task.rate, task.sampling) == ("human-aggre", 0.2501, GIVEN)
    assert np.array_equal(task.noisy_labels, given[task.noisy_indices])
    assert np.array_equal(task.clean_labels, arrays.train_labels[task.clean_indices])
    assert np.array_equal(task.clean_indices, task_of(3).clean_indices)
    wrong_of_3 = np.mean(given[arrays.train_labels == 3] == 4)
    assert task.matrix[3, 4] == pytest.approx(wrong_of_3)
    assert task.matrix[3, 3] == pytest.approx(1 - wrong_of_3)
    assert task.warnings == ()


@pytest.mark.parametrize(
    ("kind", "labels", "message"),
    [
        ("sym", np.zeros(400, int), "name of their own"),
        ("human", np.zeros(399, int), "399 labels given for 400"),
        ("human", np.full(400, 10), "label 10 at position 0"),
        ("human", np.zeros(400), "whole numbers"),
    ],
)
def test_given_labels_that_do_not_fit(kind, labels, message):
    with pytest.raises(SuiteError, match=message):
        make_task_from_labels(dataset(), replace(SPEC, kind=kind, sampling=GIVEN), labels, 0)


def test_given_labels_are_not_drawn():
    with pytest.raises(SuiteError, match="cannot have sampling 'per-label'; say 'given'"):
        make_task_from_labels(dataset(), replace(SPEC, kind="human"), np.zeros(400, int), 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": ""}, "dataset must be a text"),
        ({"data_sha256": None}, "data_sha256 must be a text"),
        ({"kind": "pink"}, "unknown noise kind 'pink'"),
        ({"rate": 1.5}, r"1\.5"),
        ({"rate": "half"}, "'half'"),
        ({"sampling": "sorted"}, "unknown sampling 'sorted'; known: per-label, exact-count, given"),
        ({"sampling": GIVEN}, "cannot be drawn"),
        ({"split": "random"}, "unknown split 'random'; known: balanced, released, listed"),
        ({"clean_per_class": 0}, "clean_per_class"),
        ({"clean_per_class": 2.5}, "clean_per_class"),
        ({"clean_per_class": 41}, "class 0 has only 40"),
        ({"validation_per_class": 0}, "validation_per_class must be a whole number, 1 or more"),
        ({"validation_per_class": 1.0}, "validation_per_class must be a whole number"),
        ({"validation_per_class": 37}, "40 clean images per class leave none"),
        ({"validation_per_class": 3, "split": "released"}, "released split draws its own validation set"),
        ({"kind": "idn-part-dependent", "sampling": "exact-count"}, "sampling must be per-label"),
        ({"kind": "matrix"}, "unknown noise kind 'matrix'"),
        ({"kind": "asym", "class_map": None}, "class map"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"seed": 0.5}, "seed must be a whole number"),
    ],
)
def test_impossible_tasks_are_refused_in_one_line(changes, message):
    with pytest.raises(SuiteError, match=message) as refusal:
        task_of(**changes)
    assert "\n" not in str(refusal.value)


def test_a_class_without_images_is_refused():
    arrays = replace(dataset(num_classes=3), class_names=("0", "1", "2", "3"))
    with pytest.raises(SuiteError, match="class 3 has no training image"):
        task_of(arrays=arrays)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noisy_labels": np.zeros(3, int)}, "3 labels for"),
        ({"clean_labels": np.full(30, 10)}, "label 10"),
        ({"clean_indices": np.arange(30)[::-1]}, "ascending"),
        ({"clean_indices": np.arange(30) - 1}, "ascending"),
        ({"clean_indices": np.zeros(30, int)}, "ascending"),
        ({"clean_indices": np.arange(30.0)}, "int64"),
        ({"noisy_indices": np.arange(370)}, "meet"),
        ({"matrix": np.ones((10, 10))}, "row 0"),
        ({"confusion": np.zeros((10, 10), int)}, "confusion"),
        ({"warnings": "careful"}, "tuple of texts"),
    ],
)
def test_parts_that_do_not_fit_together_make_no_task(changes, message):
    with pytest.raises(SuiteError, match=message):
        replace(task_of(), **changes)


def test_arrays_are_read_only_copies():
    arrays = dataset()
    task = task_of(arrays=arrays)
    for name in ARRAY_NAMES:
        with pytest.raises(ValueError, match="read-only"):
            getattr(task, name)[0] = 1
    arrays.train_labels[0] = 1  # the caller's own stay writable


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"split": "released"},
        {"kind": "asym", "rate": 0.5, "sampling": "exact-count"},
        {"validation_per_class": 2},
        {"kind": "idn-part-dependent"},
    ],
)
def test_round_trip(tmp_path, changes):
    task = task_of(4, **changes)
    save_task(task, tmp_path / "task.npz")
    loaded = load_task(tmp_path / "task.npz", expect_data_sha256=SPEC.data_sha256)
    assert loaded == task
    assert (loaded.warnings, loaded.rate, loaded.seed) == (task.warnings, task.rate, task.seed)
    for name in ARRAY_NAMES:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(task, name), strict=True)


def test_same_task_same_bytes(path, tmp_path):
    save_task(load_task(path), tmp_path / "loaded.npz")
    save_task(task_of(), tmp_path / "drawn.npz")
    assert path.read_bytes() == (tmp_path / "loaded.npz").read_bytes() == (tmp_path / "drawn.npz").read_bytes()


def test_any_change_changes_the_checksum():
    task = task_of(3)
    labels = task.clean_labels.copy()
    labels[0] = (labels[0] + 1) % 10
    changed = [{"seed": 4}, {"dataset": "other"}, {"rate": 0.4}, {"warnings": ("x",)}, {"clean_labels": labels}]
    checksums = {task.sha256, *(replace(task, **change).sha256 for change in changed)}
    assert len(checksums) == 1 + len(changed)


def test_the_file_says_what_it_is(path):
    task = task_of()
    with zipfile.ZipFile(path) as bundle:
        meta = json.loads(bundle.read(META))
    assert meta["schema"] == "emlc.task/1"
    assert meta["effective_rate"] == task.effective_rate
    assert meta["sha256"] == task.sha256
    with np.load(path) as arrays:
        np.testing.assert_array_equal(arrays["noisy_labels"], task.noisy_labels)


def test_other_data_is_refused(path):
    with pytest.raises(SuiteError, match=f"{path}.*made from data abab.*at hand is cdcd"):
        load_task(path, expect_data_sha256="cd" * 32)


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"schema": "emlc.task/2"}, "schema emlc.task/1"),
        ({"schema": None}, "schema emlc.task/1"),
        ({"seed": 1}, "sha256 do not agree"),
        ({"rate": 0.9}, "sha256 do not agree"),
        ({"effective_rate": 0.0}, "sha256 do not agree"),
        ({"sha256": "0" * 64}, "sha256 do not agree"),
        ({"more": 1}, "sha256 do not agree"),
        ({"rate": float("nan")}, "nan"),
        ({"rate": 2}, "rate 2 "),
        ({"seed": True}, "seed must be"),
        ({"seed": "0"}, "seed must be"),
        ({"split": ["balanced"]}, "unknown split"),
        ({"warnings": None}, "meta.json"),
        ({"validation_per_class": 3}, "validation set meets"),
        ({"validation_per_class": None}, "sha256 do not agree"),
        ({"warnings": [1]}, "warnings"),
    ],
)
def test_edited_facts_are_refused_in_one_line(path, edits, message):
    names = dict.fromkeys(ARRAY_NAMES, "<i8") | {"matrix": "<f8"}
    meta, arrays = read_bundle(path, names)
    edited = {**meta, **edits}
    write = write_raw if edited["rate"] != edited["rate"] else write_bundle
    write(path, edited, arrays)
    with pytest.raises(SuiteError, match=message) as refusal:
        load_task(path)
    assert "\n" not in str(refusal.value)
    assert str(path) in str(refusal.value)


def write_raw(path, meta, arrays):
    """Write a file that :func:`write_bundle` would refuse to: with NaN in its JSON."""
    write_bundle(path, {}, arrays)
    with zipfile.ZipFile(path) as bundle:
        members = {name: bundle.read(name) for name in bundle.namelist()}
    members[META] = json.dumps(meta).encode()
    with zipfile.ZipFile(path, "w") as bundle:
        for name, content in members.items():
            bundle.writestr(name, content)


@pytest.mark.parametrize("name", ARRAY_NAMES)
def test_edited_arrays_are_refused(path, name):
    names = dict.fromkeys(ARRAY_NAMES, "<i8") | {"matrix": "<f8"}
    meta, arrays = read_bundle(path, names)
    edited = arrays[name].copy()
    edited.flat[0], edited.flat[-1] = edited.flat[-1], edited.flat[0] + 1
    write_bundle(path, meta, {**arrays, name: edited})
    with pytest.raises(SuiteError, match="cannot use"):
        load_task(path)


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"{}", b"\x93NUMPY\x01\x00"])
def test_foreign_files_are_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(SuiteError, match="is not a readable npz file"):
        load_task(path)


def loads(path, content, task):
    """Return whether `content` loads, which must give `task`; a refusal must be one line that names the file."""
    path.unlink()  # file systems flush a file that is written over: milliseconds
    path.write_bytes(content)
    try:
        loaded, message = load_task(path), str(path)
    except SuiteError as error:
        loaded, message = None, str(error)
    assert "\n" not in message
    assert str(path) in message
    assert loaded in (None, task)
    return loaded is not None


def payload_positions(path):
    """Return the positions of all bytes that belong to a member's content, not to the container."""
    with zipfile.ZipFile(path) as bundle:
        starts = {entry.header_offset + 30 + len(entry.filename): entry.file_size for entry in bundle.infolist()}
    return {at for start, size in starts.items() for at in range(start, start + size)}


@pytest.fixture
def small(tmp_path):
    task = task_of(arrays=dataset(4, 3), clean_per_class=1, class_map=None)
    save_task(task, tmp_path / "small.npz")
    return task, tmp_path / "small.npz", (tmp_path / "small.npz").read_bytes()


def test_no_flipped_byte_slips_through(small):
    task, path, content = small
    payload = payload_positions(path)
    masks = np.random.default_rng(0).integers(1, 256, len(content)).tolist()
    for at, mask in enumerate(masks):
        flipped = content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :]
        assert not (loads(path, flipped, task) and at in payload)


def test_no_truncated_file_slips_through(small):
    task, path, content = small
    for length in range(0, len(content), 7):
        assert not loads(path, content[:length], task)


def test_a_failed_save_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(SuiteError, match="No space left"):
        save_task(task_of(1), path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_readable_without_torch(path):
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from emlc.tasks.draw import load_task, make_task\n"
        "import emlc.noise.matrices, emlc.tasks.splits\n"
        "print(load_task(sys.argv[1]).sha256)"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == task_of().sha256


def test_checksum_is_the_same_on_every_machine():
    assert task_of().sha256 == "4575bad1eac67c66143ca7a41a2179b8ac43a87a8802b5ce506850c14713ff26"


@pytest.mark.parametrize(
    ("changes", "sha256", "file_sha256"),
    [
        (
            {},
            "e61640ab88870587bd31a729077ae942618be558f80c2f1a2891b6fbfb8daf68",
            "41f81f83d09041c9d63d96bfa46c16eaec63362334097007bfd04fac7886cbe8",
        ),
        (
            {"split": "released"},
            "ae8f04b1ab6858d0e1ea90ff103ed13d6c98e3b87b5869d7f0e7f0944a6fed61",
            "350eb3ada8cd00e40eb7cffce32b4e6c37aa72f2d55ee9383bd82a6953c9ee9e",
        ),
        (
            {"kind": "asym", "rate": 0.4, "sampling": "exact-count"},
            "259a36892bc5565b64ae5a580538642708ab4e6990486e017478e6f30fd3bfb1",
            "3f20590c975084e1b5b68a8fe4690d49a637be44f45435b9003a04e9a9d78a4c",
        ),
    ],
)
def test_without_a_validation_set_tasks_are_as_ever(tmp_path, changes, sha256, file_sha256):
    """Values from before tasks could have one: records of runs keep these checksums."""
    task = task_of(3, **changes)
    save_task(task, tmp_path / "task.npz")
    assert "validation_per_class" not in task.facts
    assert task.sha256 == sha256
    assert hashlib.sha256((tmp_path / "task.npz").read_bytes()).hexdigest() == file_sha256


def test_a_validation_set_of_its_own():
    arrays = dataset()
    task, without = task_of(1, arrays, validation_per_class=2), task_of(1, arrays)
    seed = derive_seed("split", "digits", "balanced", 3, 1)
    split = held_out_split(arrays.train_labels, 3, 2, seed)
    assert np.array_equal(task.validation_indices, split.validation)
    assert np.array_equal(task.validation_labels, arrays.train_labels[split.validation])
    assert np.array_equal(task.noisy_indices, split.noisy)
    assert np.array_equal(task.clean_indices, without.clean_indices)
    assert (len(task.clean_indices), len(task.validation_indices), len(task.noisy_indices)) == (30, 20, 350)
    assert task.facts["validation_per_class"] == 2
    assert task.warnings == ()
    assert task != without


@pytest.mark.parametrize("other", ["clean", "noisy"])
def test_a_validation_set_that_is_trained_on_makes_no_task(other):
    task = task_of(validation_per_class=2)
    indices, labels = getattr(task, f"{other}_indices"), task.clean_labels if other == "clean" else task.true_labels
    with pytest.raises(SuiteError, match="validation set meets"):
        replace(task, validation_indices=indices, validation_labels=labels)


def pictured(per_class=40, num_classes=4):
    """Images that show their class, more or less."""
    arrays = dataset(per_class, num_classes)
    rng = np.random.default_rng(1)
    means = rng.integers(60, 196, (num_classes, 3, 3, 1))[arrays.train_labels]
    images = np.clip(means + rng.normal(0, 60, means.shape), 0, 255).astype(np.uint8)
    return replace(arrays, train_images=images)


@pytest.mark.parametrize("kind", INSTANCE_KINDS)
def test_noise_that_depends_on_the_image(kind):
    arrays = pictured()
    task = task_of(2, arrays, kind=kind, rate=0.4, class_map=None, validation_per_class=2)
    images, true_labels = arrays.train_images[task.noisy_indices], arrays.train_labels[task.noisy_indices]
    seed = derive_seed("noise", "digits", kind, 0.4, "per-label", 2)
    assert np.array_equal(task.noisy_labels, corrupt_images(kind, images, true_labels, 4, 0.4, seed))
    assert task.effective_rate == pytest.approx(0.4, abs=0.16)  # 140 labels: 4 standard errors
    np.testing.assert_array_equal(task.matrix, task.confusion / task.confusion.sum(axis=1, keepdims=True))
    assert np.array_equal(task.clean_indices, task_of(2, arrays, class_map=None).clean_indices)


def test_a_class_without_noisy_images_keeps_its_label_in_the_matrix():
    arrays = pictured()
    few = np.flatnonzero((arrays.train_labels != 3) | (np.cumsum(arrays.train_labels == 3) <= 3))
    few_arrays = replace(arrays, train_images=arrays.train_images[few], train_labels=arrays.train_labels[few])
    task = task_of(0, few_arrays, kind="idn-part-dependent", rate=0.4, class_map=None)
    assert task.confusion[3].sum() == 0
    assert task.matrix[3].tolist() == [0, 0, 0, 1]


MATRIX = [[0.75, 0.25, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.25, 0.25, 0.5, 0.0], [0.0, 0.5, 0.0, 0.5]]


def matrix_spec(**changes):
    return replace(SPEC, **{"kind": "matrix", "rate": 0.3125, **changes})


def test_noise_from_a_matrix():
    arrays = dataset(400, 4)
    task = make_task_from_matrix(arrays, matrix_spec(), MATRIX, 5)
    assert np.array_equal(task.matrix, MATRIX)
    assert (task.matrix[task.true_labels, task.noisy_labels] > 0).all()
    np.testing.assert_allclose(task.confusion / 397, MATRIX, atol=0.1)  # 4 standard errors
    assert np.array_equal(task.clean_indices, task_of(5, arrays, class_map=None).clean_indices)
    assert [("diagonally dominant" in text, "matrix 0.3125" in text) for text in task.warnings] == [(True, True)]
    assert task == make_task_from_matrix(arrays, matrix_spec(), MATRIX, 5)
    assert task != make_task_from_matrix(arrays, matrix_spec(), MATRIX, 6)


@pytest.mark.parametrize(
    ("changes", "matrix", "message"),
    [
        ({"kind": "sym"}, MATRIX, "is kind 'matrix', per-label, not 'sym', per-label"),
        ({"sampling": "exact-count"}, MATRIX, "not 'matrix', exact-count"),
        ({}, np.eye(3), "for 3 classes, the dataset has 4"),
        ({"rate": 0.3}, MATRIX, "noise matrix has rate 0.3125, not 0.3; correct the column's rate"),
        ({}, np.ones((4, 4)), "row 0 is not a distribution"),
    ],
)
def test_matrices_that_do_not_fit(changes, matrix, message):
    with pytest.raises(SuiteError, match=message):
        make_task_from_matrix(dataset(num_classes=4), matrix_spec(**changes), matrix, 0)


@pytest.mark.parametrize("kind", ["matrix", *INSTANCE_KINDS])
def test_given_labels_cannot_take_the_name_of_drawn_ones(kind):
    with pytest.raises(SuiteError, match="name of their own"):
        make_task_from_labels(dataset(), replace(SPEC, kind=kind, sampling=GIVEN), np.zeros(400, int), 0)
