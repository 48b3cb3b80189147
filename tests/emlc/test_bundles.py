import io
import json
import pickle
import zipfile

import numpy as np
import pytest

from emlc.bundles import META, read_bundle, write_bundle
from emlc.errors import SuiteError

DTYPES = {"labels": "<i8", "matrix": "<f8"}
ARRAYS = {"labels": np.arange(5), "matrix": np.eye(3) / 7}


def npy(array, **options):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **options)
    return buffer.getvalue()


def npy_declaring(shape, dtype="<i8", payload=b""):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + payload


@pytest.fixture
def path(tmp_path):
    write_bundle(tmp_path / "some.npz", {"a": [1, "ü"]}, ARRAYS)
    return tmp_path / "some.npz"


def rewrite(path, compression=zipfile.ZIP_STORED, **replaced):
    with zipfile.ZipFile(path) as bundle:
        members = {name: bundle.read(name) for name in bundle.namelist()}
    with zipfile.ZipFile(path, "w", compression) as bundle:
        for name, content in {**members, **replaced}.items():
            if content is not None:
                bundle.writestr(name, content)


def test_round_trip(path):
    meta, arrays = read_bundle(path, DTYPES)
    assert meta == {"a": [1, "ü"]}
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == DTYPES[name]
        np.testing.assert_array_equal(arrays[name], array)


def test_transposed_arrays_keep_their_values(tmp_path):
    array = np.arange(6.0).reshape(2, 3).T
    write_bundle(tmp_path / "some.npz", {}, {"matrix": array})
    np.testing.assert_array_equal(read_bundle(tmp_path / "some.npz", {"matrix": "<f8"})[1]["matrix"], array)


def test_empty_arrays(tmp_path):
    write_bundle(tmp_path / "some.npz", {}, {"labels": np.arange(0)})
    assert read_bundle(tmp_path / "some.npz", {"labels": "<i8"})[1]["labels"].shape == (0,)


def test_same_content_same_bytes(path, tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 2e9)
    write_bundle(tmp_path / "again.npz", {"a": [1, "ü"]}, ARRAYS)
    assert path.read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_plain_numpy_reads_it(path):
    with np.load(path, allow_pickle=False) as bundle:
        np.testing.assert_array_equal(bundle["matrix"], ARRAYS["matrix"])
        assert json.loads(bundle[META]) == {"a": [1, "ü"]}


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({META: None}, "does not hold exactly"),
        ({"labels.npy": None}, "does not hold exactly"),
        ({"more.npy": npy(np.eye(2))}, "does not hold exactly"),
        ({META: b"{"}, "Expecting"),
        ({META: b"\xff"}, "utf-8|codec"),
        ({META: b"[" * 100_000}, "recursion"),
        ({"labels.npy": b""}, "npy format"),
        ({"labels.npy": b"not numpy"}, "npy format"),
        ({"labels.npy": npy(np.arange(5), version=(2, 0))}, "npy format"),
        ({"labels.npy": npy(np.arange(5, dtype="<i4"))}, "<i4"),
        ({"labels.npy": npy(np.arange(5, dtype=">i8"))}, ">i8"),
        ({"labels.npy": npy(np.asfortranarray(np.ones((2, 3), np.int64)))}, "C order"),
        ({"labels.npy": npy(np.arange(5)).replace(b" 'fortran", b"b'fortran")}, "npy format"),
        ({"labels.npy": npy(np.arange(5))[:-1]}, "size"),
        ({"labels.npy": npy(np.arange(5)) + b"\0"}, "size"),
        ({"labels.npy": npy_declaring((1 << 50,))}, "size"),
        ({"labels.npy": npy_declaring((1 << 40, 1 << 40))}, "size"),
        ({"labels.npy": npy_declaring((-1, -1), payload=b"\0" * 8)}, "npy format"),
    ],
)
def test_foreign_content_is_refused_in_one_line(path, replaced, message):
    rewrite(path, **replaced)
    with pytest.raises(SuiteError, match=message) as refusal:
        read_bundle(path, DTYPES)
    assert "\n" not in str(refusal.value)
    assert str(path) in str(refusal.value)


def test_pickled_objects_are_never_built(path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    content = npy_declaring((1,), "|O", pickle.dumps(Trap()))
    rewrite(path, **{"labels.npy": content})
    with pytest.raises(SuiteError, match=r"\|O"):
        read_bundle(path, DTYPES)


def test_compressed_members_are_refused_before_they_are_inflated(path):
    rewrite(path, zipfile.ZIP_DEFLATED, **{"labels.npy": npy(np.zeros(1 << 20, np.int64))})
    with pytest.raises(SuiteError, match="compressed"):
        read_bundle(path, DTYPES)


def test_oversized_files_are_refused_unread(path):
    with path.open("r+b") as handle:
        handle.truncate(1 << 40)  # sparse
    with pytest.raises(SuiteError, match="larger than 256 MiB"):
        read_bundle(path, DTYPES)


def test_missing_files_and_folders(tmp_path):
    for path in (tmp_path / "none.npz", tmp_path):
        with pytest.raises(SuiteError, match="cannot read"):
            read_bundle(path, DTYPES)


@pytest.mark.parametrize("name", [META, "labels.npy"])
def test_damage_that_the_container_does_not_notice(path, name):
    with zipfile.ZipFile(path) as bundle:
        content = bundle.read(name)
    for at in range(len(content)):
        for mask in (1, 0x0A, 0x80, 0xFF):
            rewrite(path, **{name: content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :]})
            refuses_in_one_line_or_reads(path)


def refuses_in_one_line_or_reads(path):
    try:
        read_bundle(path, DTYPES)
    except SuiteError as error:
        message = str(error)
    else:
        message = str(path)
    assert "\n" not in message
    assert str(path) in message


def test_repeated_members_are_refused(path):
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as bundle:
        bundle.writestr(META, b"{}")
    with pytest.raises(SuiteError, match="does not hold exactly"):
        read_bundle(path, DTYPES)


def test_objects_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="Object arrays"):
        write_bundle(tmp_path / "some.npz", {}, {"labels": np.array([None])})
    assert list(tmp_path.iterdir()) == []
