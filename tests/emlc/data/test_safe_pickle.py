import os
import pickle
import shutil
import struct
import subprocess
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emlc.data.safe_pickle import load_pickled_dict
from emlc.records.errors import SuiteError
from tests.fixtures import pickle_like_python2

ARRAY = np.arange(12, dtype=np.uint8).reshape(3, 4)
CONTENT = {b"data": ARRAY, b"labels": [3, 1, 2], b"batch_label": b"training batch 1 of 5"}


class Runs:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def test_python2_pickles_load():
    content = load_pickled_dict(pickle_like_python2(CONTENT), "here")
    assert set(content) == {"data", "labels", "batch_label"}
    np.testing.assert_array_equal(content["data"], ARRAY, strict=True)
    assert content["labels"] == [3, 1, 2]
    assert content["batch_label"] == b"training batch 1 of 5"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.uint64, np.float32])
def test_python3_pickles_load_and_equal_what_pickle_itself_reads(protocol, dtype):
    data = pickle.dumps({"a": ARRAY.astype(dtype), "f": np.asfortranarray(ARRAY), "names": ["x", "y"]}, protocol)
    content, reference = load_pickled_dict(data, "here"), pickle.loads(data)
    np.testing.assert_array_equal(content["a"], reference["a"], strict=True)
    np.testing.assert_array_equal(content["f"], reference["f"], strict=True)
    assert content["names"] == ["x", "y"]


def test_a_dictionary_in_an_array_of_no_dimensions_loads():
    """What numpy.save makes of a dictionary."""
    content = load_pickled_dict(pickle.dumps(np.array({"a": ARRAY}), 4), "here")
    np.testing.assert_array_equal(content["a"], ARRAY, strict=True)


def test_a_claimed_length_is_not_allocated(monkeypatch):
    """Python's own unpickler would ask for 2**40 bytes here."""
    sizes = []
    monkeypatch.setattr("builtins.bytearray", lambda size=0: sizes.append(size) or b"")
    with pytest.raises(SuiteError, match="here is not a readable pickled dictionary"):
        load_pickled_dict(b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b"x", "here")
    assert max(sizes, default=0) < 100


def test_a_remedy_ends_the_message():
    for data in (b"", pickle.dumps({"a": Runs(eval, "1")}, 3)):
        with pytest.raises(SuiteError, match=r"^here.*; do this$"):
            load_pickled_dict(data, "here", "do this")


def test_python2_pickles_of_wide_integers_load():
    labels = np.array([1, -2, 2**40])
    np.testing.assert_array_equal(load_pickled_dict(pickle_like_python2({b"a": labels}), "x")["a"], labels, strict=True)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Runs(os.system, "touch {}"), "posix.system"),
        (Runs(subprocess.Popen, ["touch", "{}"]), "subprocess.Popen"),
        (Runs(eval, "open('{}', 'w')"), "builtins.eval"),
        (Runs(shutil.rmtree, "{}"), "shutil.rmtree"),
        (Runs(np.save, "{}", 1), "numpy.save"),
        (Runs(pickle.loads, b"x"), "_pickle.loads"),
        (Runs(getattr, "x", "format"), "builtins.getattr"),
    ],
)
def test_a_foreign_class_is_refused_by_name_and_never_called(tmp_path, value, named):
    victim = tmp_path / "victim"
    value.call = (value.call[0], tuple(a.format(victim) if isinstance(a, str) else a for a in value.call[1]))
    with pytest.raises(SuiteError, match=f"here: the pickle names {named}") as caught:
        load_pickled_dict(pickle.dumps({"a": value}, 3, fix_imports=False), "here")
    assert "\n" not in str(caught.value)
    assert not victim.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x02",
        pickle.dumps([1, 2], 2),
        pickle.dumps("text", 2),
        pickle_like_python2(CONTENT)[:-30],
        pickle.dumps({"a": np.array([1.5 + 1j])}, 2),
        pickle.dumps({"a": np.array([1.5 + 1j])}, 5),
        pickle.dumps({"a": np.array([None])}, 2),
        pickle.dumps(np.arange(3), 2),
        pickle.dumps(np.array([{"a": 1}], object), 2),
        b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b"x",
        b"\x80\x05\x97.",
        pickle.dumps({"a": np.array([1], dtype=">i8")}, 2),
        b"\x80\x02}(U\x01anumpy",
        b"\x80\x04\x8e" + (2**60).to_bytes(8, "little"),
        b"\x80\x02]r\xff\xff\xff\xff.",
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R.",
        b"\x80\x02}(U\x01acnumpy.core.multiarray\n_reconstruct\n)Ru.",
        b"\x80\x02(K\x01Q.",
    ],
)
def test_anything_else_is_refused_in_one_line(data):
    with pytest.raises(SuiteError, match=r"^here") as caught:
        load_pickled_dict(data, "here")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rows", [2, 4, -3, 2**31 - 1])
def test_an_array_must_have_the_bytes_of_its_shape(rows):
    right = pickle_like_python2(CONTENT)
    assert load_pickled_dict(right, "here")["data"].shape == (3, 4)
    true, false = (b"J" + struct.pack("<i", length) + b"J\4\0\0\0t" for length in (3, rows))
    wrong = right.replace(true, false)
    assert wrong != right
    with pytest.raises(SuiteError, match="do not fill its shape"):
        load_pickled_dict(wrong, "here")


@settings(max_examples=1000, deadline=None)
@given(st.data())
def test_mutated_pickles_load_or_are_refused(data):
    mutated = bytearray(pickle_like_python2(CONTENT))
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    with suppress(SuiteError):
        content = load_pickled_dict(bytes(mutated), "here")
        assert all(isinstance(key, str) for key in content)
