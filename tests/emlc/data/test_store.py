from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emlc.data.base import Arrays
from emlc.data.store import SCHEMA, content_sha256, load_arrays, save_arrays
from emlc.records.bundles import read_bundle, write_bundle
from emlc.records.errors import SuiteError

DTYPES = {"train_images": "|u1", "train_labels": "<i8", "test_images": "|u1", "test_labels": "<i8"}


def make_arrays(**changes) -> Arrays:
    rng = np.random.default_rng(0)
    parts = {
        "train_images": rng.integers(0, 256, (6, 4, 4, 3), dtype=np.uint8),
        "train_labels": np.array([0, 1, 2, 0, 1, 2]),
        "test_images": rng.integers(0, 256, (3, 4, 4, 3), dtype=np.uint8),
        "test_labels": np.array([2, 1, 0]),
        "class_names": ("cat", "dog", "größer"),
    }
    return Arrays(**parts | changes)


def test_what_is_saved_is_loaded(tmp_path):
    saved = make_arrays()
    digest = save_arrays(tmp_path / "a.npz", saved, "pets")
    loaded, found = load_arrays(tmp_path / "a.npz")
    assert found == digest
    assert loaded.class_names == saved.class_names
    for name in DTYPES:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(saved, name), strict=True)
        assert getattr(loaded, name).flags.writeable


def test_the_same_arrays_are_the_same_bytes(tmp_path):
    fortran = np.asfortranarray(make_arrays().train_images)
    save_arrays(tmp_path / "a.npz", make_arrays(), "pets")
    save_arrays(tmp_path / "b.npz", make_arrays(), "pets")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    digest = save_arrays(tmp_path / "c.npz", make_arrays(train_images=fortran), "pets")
    assert load_arrays(tmp_path / "a.npz")[1] == digest == load_arrays(tmp_path / "c.npz")[1]


def test_the_checksum_depends_on_every_part(tmp_path):
    base = make_arrays()
    changed = [
        make_arrays(train_images=base.train_images[::-1]),
        make_arrays(train_labels=base.train_labels[::-1]),
        make_arrays(test_images=base.test_images[::-1]),
        make_arrays(test_labels=base.test_labels[::-1]),
        make_arrays(class_names=base.class_names[::-1]),
    ]
    digests = {save_arrays(tmp_path / "a.npz", arrays, "pets") for arrays in [base, *changed]}
    digests.add(save_arrays(tmp_path / "a.npz", base, "other"))
    assert len(digests) == 7


def test_the_checksum_is_the_same_on_every_machine(tmp_path):
    digest = save_arrays(tmp_path / "a.npz", make_arrays(), "pets")
    assert digest == "4ba49a530ed2c06a17bb01c82c8fc66f482ca52b1dad6f72a43b6e7cdaf697fa"


@pytest.mark.parametrize("name", DTYPES)
def test_arrays_that_do_not_match_their_checksum_are_refused(tmp_path, name):
    path = tmp_path / "a.npz"
    save_arrays(path, make_arrays(), "pets")
    meta, content = read_bundle(path, DTYPES)
    content[name].flat[0] ^= 1
    write_bundle(path, meta, content)
    with pytest.raises(SuiteError, match=r"is damaged: its content has sha256 .*; delete it and run .*prepare$"):
        load_arrays(path)


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ({"dataset": "other"}, "is damaged: its content has sha256"),
        ({"class_names": ["cat", "dog", "emu"]}, "is damaged: its content has sha256"),
        ({"class_names": ["cat", "dog"]}, "is damaged: its content has sha256"),
        ({"sha256": "0" * 10**5}, "is damaged: its content has sha256"),
        ({"schema": "emlc.data/2"}, f"not a file of prepared arrays of schema {SCHEMA}"),
        ({"dataset": 1}, "not a file of prepared arrays"),
        ({"class_names": "cat"}, "not a file of prepared arrays"),
        ({"class_names": ["cat", "dog", 1]}, "not a file of prepared arrays"),
        ({"sha256": None}, "not a file of prepared arrays"),
        ({"more": 1}, "not a file of prepared arrays"),
        ({"class_names": ["cat", "dog", "größer\0"]}, "none of them NUL"),
        ({"class_names": ["x"] * 10**4 + ["x" * 10**6]}, "at most 255 characters"),  # 40 GB as a numpy array
    ],
)
def test_edited_texts_are_refused_in_one_line(tmp_path, edits, message):
    path = tmp_path / "a.npz"
    save_arrays(path, make_arrays(), "pets")
    meta, content = read_bundle(path, DTYPES)
    write_bundle(path, {**meta, **edits}, content)
    with pytest.raises(SuiteError, match=message) as caught:
        load_arrays(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_right_checksum_does_not_make_contradicting_arrays_right(tmp_path):
    path = tmp_path / "a.npz"
    save_arrays(path, make_arrays(), "pets")
    meta, content = read_bundle(path, DTYPES)
    wrong = make_arrays(train_labels=np.array([0, 1, 2, 0, 1, 3]))
    meta["sha256"] = content_sha256(wrong, "pets")
    write_bundle(path, meta, {**content, "train_labels": wrong.train_labels})
    with pytest.raises(SuiteError, match=r"a\.npz: train labels lie outside 0 to 2"):
        load_arrays(path)


@pytest.mark.parametrize("meta", [None, [], "text", {}])
def test_other_texts_are_refused(tmp_path, meta):
    arrays = make_arrays()
    write_bundle(tmp_path / "a.npz", meta, {name: getattr(arrays, name) for name in DTYPES})
    with pytest.raises(SuiteError, match="not a file of prepared arrays"):
        load_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "cannot read .*: No such file"),
        (lambda path: path.write_bytes(b""), "not a readable npz file"),
        (lambda path: path.write_text("mean,std\n"), "not a readable npz file"),
        (lambda path: np.savez(path, x=np.arange(3)), r"not a readable npz file \(it does not hold exactly meta.json"),
        (lambda path: np.savez_compressed(path, x=np.zeros(10**6)), "not a readable npz file"),
        (lambda path: np.savez(path, x=np.array([{}], dtype=object)), "not a readable npz file"),
    ],
)
def test_foreign_files_are_refused(tmp_path, write, message):
    path = tmp_path / "a.npz"
    write(path)
    with pytest.raises(SuiteError, match=message) as caught:
        load_arrays(path)
    assert "\n" not in str(caught.value)


def test_files_larger_than_a_task_may_be_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("emlc.records.bundles.MAX_BYTES", 10)
    path = tmp_path / "a.npz"
    save_arrays(path, make_arrays(), "pets")
    load_arrays(path)
    with path.open("r+b") as handle:
        handle.truncate(2**40)  # sparse
    with pytest.raises(SuiteError, match="the limit is 17,179,869,184"):
        load_arrays(path)


@pytest.fixture(scope="module")
def saved_bytes(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("saved") / "a.npz"
    save_arrays(path, make_arrays(), "pets")
    return path.read_bytes()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_files_load_equal_or_are_refused(tmp_path, saved_bytes, data):
    mutated = bytearray(saved_bytes)
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    path: Path = tmp_path / "a.npz"
    path.unlink(missing_ok=True)  # file systems flush a file that is written over: milliseconds
    path.write_bytes(mutated[: data.draw(st.integers(0, len(mutated)) | st.just(len(mutated)))])
    try:
        loaded, _ = load_arrays(path)
    except SuiteError:
        return
    np.testing.assert_array_equal(loaded.train_images, make_arrays().train_images)
    np.testing.assert_array_equal(loaded.train_labels, make_arrays().train_labels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_images": np.zeros((6, 4, 4, 3))}, "train images are float64"),
        ({"train_images": np.zeros((6, 4, 4, 2), np.uint8)}, "1 or 3"),
        ({"test_images": np.zeros((0, 4, 4, 3), np.uint8)}, "test images are uint8"),
        ({"train_labels": np.zeros(5, np.int64)}, "not one int64 for each of 6"),
        ({"train_labels": np.zeros(6, np.int32)}, "train labels are int32"),
        ({"test_labels": np.array([0, 1, 3])}, "test labels lie outside 0 to 2"),
        ({"train_labels": np.array([0, 1, 2, 0, 1, -1])}, "train labels lie outside 0 to 2"),
        ({"test_images": np.zeros((3, 5, 4, 3), np.uint8)}, "test images"),
        ({"class_names": ("cat", "dog", "x" * 256)}, "at most 255 characters"),
        ({"class_names": ("cat", "dog", "x\0")}, "none of them NUL"),
    ],
)
def test_contradicting_arrays_are_not_saved(tmp_path, changes, message):
    with pytest.raises(SuiteError, match=message):
        save_arrays(tmp_path / "a.npz", make_arrays(**changes), "pets")
    assert not list(tmp_path.iterdir())
