"""Files are whole or as they were before; JSON has one form; checksums are the standard ones."""

import hashlib
import json
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emlc.records.artefacts import (
    atomic_path,
    canonical_json,
    file_digest,
    read_json,
    sha256_bytes,
    write_json,
    write_text,
)
from emlc.records.errors import SuiteError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aé\n\U0001f600"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)


def test_a_file_appears_whole_in_new_folders(tmp_path):
    path = tmp_path / "a" / "b" / "file.txt"
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        temporary.write_text("content")
        assert not path.exists()
    assert path.read_text() == "content"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_reader_of_the_old_file_keeps_it_to_the_end(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old content")
    with path.open("rb", buffering=0) as reader:
        start = reader.read(3)
        write_text(path, "new")
        assert start + reader.read() == b"old content"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SuiteError])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail():
        with atomic_path(path) as temporary:
            temporary.write_text("half a n")
            raise error("stop")

    with pytest.raises(error, match="stop"):
        fail()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]


def test_a_full_disk_is_one_line(tmp_path):
    def fill():
        with atomic_path(tmp_path / "file.txt"):
            raise OSError(28, "No space left on device")

    with pytest.raises(SuiteError, match=r"^cannot write .*file\.txt: No space left on device$"):
        fill()
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written_are_one_line(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    for path in (tmp_path / "file" / "below.txt", tmp_path / "folder"):
        with pytest.raises(SuiteError, match=f"^cannot write {path}: "):
            write_text(path, "text")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


@settings(deadline=None)
@given(JSON)
def test_canonical_json_is_json_and_has_one_form(value):
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


def test_canonical_json_by_hand():
    assert canonical_json({"b": [1, 0.5, None], "a": {"é": True}}) == '{"a":{"é":true},"b":[1,0.5,null]}'


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_hold_is_not_written(tmp_path, value):
    with pytest.raises(ValueError, match="JSON"):
        canonical_json([value])
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", [value])
    assert not list(tmp_path.iterdir())


def test_json_files_are_sorted_indented_and_end_with_a_newline(tmp_path):
    write_json(tmp_path / "x.json", {"b": 1, "a": "é"})
    assert (tmp_path / "x.json").read_bytes() == '{\n "a": "é",\n "b": 1\n}\n'.encode()
    assert read_json(tmp_path / "x.json") == {"a": "é", "b": 1}


def test_unreadable_json_is_one_line(tmp_path):
    (tmp_path / "x.json").write_bytes(b"\xff\xfe{")
    for path, message in [("none.json", "No such file"), ("", "Is a directory"), ("x.json", "not valid JSON")]:
        with pytest.raises(SuiteError, match=message) as caught:
            read_json(tmp_path / path)
        assert "\n" not in str(caught.value)


def test_checksums_are_the_standard_ones(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_bytes(b"abc") == sha256_bytes(b"a", b"", b"bc") == file_digest(tmp_path / "x", "sha256") == known
    assert file_digest(tmp_path / "x", "md5") == hashlib.md5(b"abc").hexdigest()
    with pytest.raises(SuiteError, match="cannot read"):
        file_digest(tmp_path / "none", "md5")
