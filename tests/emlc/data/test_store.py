import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emlc.data.base import Arrays
from emlc.data.npz import read_npz, write_npz
from emlc.data.store import load_arrays, save_arrays
from emlc.errors import SuiteError


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
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
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


def test_content_that_does_not_match_its_checksum_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    save_arrays(path, make_arrays(), "pets")
    content = read_npz(path)
    content["train_labels"][0] = 1
    write_npz(path, content)
    with pytest.raises(SuiteError, match="is damaged: its content has sha256"):
        load_arrays(path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_bytes(b""), "not a readable npz file"),
        (lambda path: path.write_text("mean,std\n"), "not a readable npz file"),
        (lambda path: np.savez(path, x=np.arange(3)), "not a file of prepared arrays"),
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


def test_a_header_that_promises_more_than_there_is_takes_no_memory(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("x.npy", "w") as handle:
        np.lib.format.write_array_header_1_0(handle, {"descr": "|u1", "fortran_order": False, "shape": (10**13,)})
        handle.write(b"abc")
    with pytest.raises(SuiteError, match="does not hold the array that its header declares"):
        read_npz(path)


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
    ],
)
def test_contradicting_arrays_are_not_saved(tmp_path, changes, message):
    with pytest.raises(SuiteError, match=message):
        save_arrays(tmp_path / "a.npz", make_arrays(**changes), "pets")
    assert not list(tmp_path.iterdir())
