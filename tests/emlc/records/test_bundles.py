import io
import json
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest

from emlc.records.bundles import MAX_META_BYTES, META, read_arrays, read_bundle, write_bundle
from emlc.records.errors import SuiteError

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
    path.unlink()  # file systems flush a file that is written over: milliseconds
    with zipfile.ZipFile(path, "w", compression) as bundle:
        for name, content in {**members, **replaced}.items():
            if content is not None:
                bundle.writestr(name, content)


def test_round_trip(path):
    meta, arrays = read_bundle(path, DTYPES)
    assert meta == {"a": [1, "ü"]}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array, strict=True)
        assert arrays[name].flags.writeable


def test_transposed_arrays_keep_their_values(tmp_path):
    array = np.arange(6.0).reshape(2, 3).T
    write_bundle(tmp_path / "some.npz", {}, {"matrix": array})
    np.testing.assert_array_equal(read_bundle(tmp_path / "some.npz", {"matrix": "<f8"})[1]["matrix"], array)


def test_empty_arrays(tmp_path):
    write_bundle(tmp_path / "some.npz", {}, {"labels": np.arange(0)})
    assert read_bundle(tmp_path / "some.npz", {"labels": "<i8"})[1]["labels"].shape == (0,)


def test_a_single_number_stays_one(tmp_path):
    write_bundle(tmp_path / "some.npz", {}, {"labels": np.array(7)})
    labels = read_bundle(tmp_path / "some.npz", {"labels": "<i8"})[1]["labels"]
    np.testing.assert_array_equal(labels, np.array(7), strict=True)


def test_names_of_undecodable_folders_round_trip(tmp_path):
    write_bundle(tmp_path / "some.npz", {"folder": "caf\udce9"}, {})
    assert read_bundle(tmp_path / "some.npz", {})[0] == {"folder": "caf\udce9"}


def test_same_content_same_bytes(path, tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 2e9)
    monkeypatch.setattr("sys.platform", "win32")
    write_bundle(tmp_path / "again.npz", {"a": [1, "ü"]}, ARRAYS)
    assert path.read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_plain_numpy_reads_it(path):
    with np.load(path, allow_pickle=False) as bundle:
        np.testing.assert_array_equal(bundle["matrix"], ARRAYS["matrix"])
        assert json.loads(bundle[META]) == {"a": [1, "ü"]}


def test_arrays_of_2_gib_and_more_are_written_as_zip64(tmp_path, monkeypatch):
    array = np.arange(1000)
    write_bundle(tmp_path / "small.npz", {}, {"labels": array})
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", array.nbytes)
    write_bundle(tmp_path / "large.npz", {}, {"labels": array})
    assert (tmp_path / "large.npz").stat().st_size > (tmp_path / "small.npz").stat().st_size
    np.testing.assert_array_equal(read_bundle(tmp_path / "large.npz", {"labels": "<i8"})[1]["labels"], array)


def test_files_of_plain_numpy_are_read_as_arrays_only(path, tmp_path):
    np.savez(tmp_path / "plain.npz", **ARRAYS)
    arrays = read_arrays(tmp_path / "plain.npz", DTYPES)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array, strict=True)
        assert arrays[name].flags.writeable
    for wrong, read in [(path, read_arrays), (tmp_path / "plain.npz", read_bundle)]:
        with pytest.raises(SuiteError, match="does not hold exactly"):
            read(wrong, DTYPES)


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
        ({"labels.npy": npy(np.arange(5)).replace(b"<i8", b"<\n8")}, "array labels is < 8, not <i8"),
        ({"labels.npy": npy(np.arange(5)).replace(b"\x93NUMPY", b"\x94NUMPY")}, "npy format"),
        ({"labels.npy": npy(np.asfortranarray(np.ones((2, 3), np.int64)))}, "C order"),
        ({"labels.npy": npy(np.arange(5)).replace(b" 'fortran", b"b'fortran")}, "npy format"),
        ({"labels.npy": npy(np.arange(5))[:-1]}, "not the size that it declares"),
        ({"labels.npy": npy(np.arange(5)) + b"\0"}, "not the size that it declares"),
        ({"labels.npy": npy_declaring((5, 5), payload=bytes(40))}, "not the size that it declares"),
        ({"labels.npy": npy_declaring((0, 1 << 80))}, "array|dimension|large"),
        ({"labels.npy": npy(np.arange(5)).replace(b"(5,)", b"5   ")}, "npy format"),
        ({"labels.npy": npy_declaring((1 << 50,))}, "not the size that it declares"),
        ({"labels.npy": npy_declaring((1 << 40, 1 << 40))}, "not the size that it declares"),
        ({"labels.npy": npy_declaring((-1, -1), payload=b"\0" * 8)}, "npy format"),
    ],
)
def test_foreign_content_is_refused_in_one_line(path, replaced, message):
    rewrite(path, **replaced)
    with pytest.raises(SuiteError, match=message) as refusal:
        read_bundle(path, DTYPES)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).startswith(f"{path} is not a readable npz file (")
    assert str(refusal.value).endswith("; delete it and run again")


def test_the_caller_says_what_to_do(path):
    for read in (read_bundle, read_arrays):
        with pytest.raises(SuiteError, match=r"; fetch it again$"):
            read(path, {"labels": "<i8"}, "fetch it again")


def test_pickled_objects_are_never_built(path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    content = npy_declaring((1,), "|O", pickle.dumps(Trap()))
    rewrite(path, **{"labels.npy": content})
    with pytest.raises(SuiteError, match=r"\|O"):
        read_bundle(path, DTYPES)


@pytest.mark.parametrize("content", [npy(np.arange(5)), npy(np.zeros(1 << 20, np.int64))])
def test_compressed_members_are_refused_before_they_are_inflated(path, content):
    rewrite(path, zipfile.ZIP_DEFLATED, **{"labels.npy": content})
    with pytest.raises(SuiteError, match="it has compressed members"):
        read_bundle(path, DTYPES)


def test_oversized_files_are_refused_unread(path):
    size = path.stat().st_size
    read_bundle(path, DTYPES, max_bytes=size)
    with pytest.raises(SuiteError, match=f"it has {size} bytes, the limit is {size - 1}"):
        read_bundle(path, DTYPES, max_bytes=size - 1)
    with path.open("r+b") as handle:
        handle.truncate(1 << 40)  # sparse
    for read in (read_bundle, read_arrays):
        with pytest.raises(SuiteError, match="the limit is 268,435,456"):
            read(path, DTYPES)


@pytest.mark.parametrize("count", [2, 50])
def test_overlapping_members_are_refused_before_they_take_memory(tmp_path, count):
    path = tmp_path / "some.npz"
    names = [f"copy{i}" for i in range(count)]
    write_bundle(path, {}, {name: np.zeros(1 << 14 if name == "copy0" else 0) for name in names})
    with zipfile.ZipFile(path, "a") as bundle:
        first = bundle.getinfo("copy0.npy")
        for name in names:
            entry = bundle.getinfo(f"{name}.npy")
            for field in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(entry, field, getattr(first, field))
        bundle.comment = b"changed"  # so that the directory is written again
    tracemalloc.start()
    try:
        with pytest.raises(SuiteError, match="larger than the file or overlap"):
            read_bundle(path, dict.fromkeys(names, "<f8"))
        assert tracemalloc.get_traced_memory()[1] < first.file_size
    finally:
        tracemalloc.stop()


def test_long_json_is_refused_before_it_is_parsed_and_never_written(path):
    rewrite(path, **{META: b'"' + b"a" * (MAX_META_BYTES - 2) + b'"'})
    assert len(read_bundle(path, DTYPES)[0]) == MAX_META_BYTES - 2
    rewrite(path, **{META: b'"' + b"a" * (MAX_META_BYTES - 1) + b'"'})
    with pytest.raises(SuiteError, match=r"meta\.json has 1,048,577 bytes, the limit is 1,048,576"):
        read_bundle(path, DTYPES)
    before = path.read_bytes()
    with pytest.raises(SuiteError, match=r"cannot write .*: meta\.json has 1,048,58\d bytes"):
        write_bundle(path, {"a": "a" * MAX_META_BYTES}, ARRAYS)
    assert path.read_bytes() == before


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
