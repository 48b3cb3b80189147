import numpy as np
import pytest

from emlc.noise.matrix_file import read_matrix
from emlc.records.errors import SuiteError

MATRIX = np.array([[0.75, 0.25, 0], [0, 1, 0], [0.5, 0.125, 0.375]])


def test_both_forms_give_the_same_matrix(tmp_path):
    np.save(tmp_path / "a.npy", MATRIX)
    (tmp_path / "a.csv").write_text("0.75,0.25,0\n0, 1, 0\n5e-1,0.125,0.375\n")
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbf0.75,0.25,0\r\n0,1,0\r\n0.5,0.125,0.375")
    for name in ("a.npy", "a.csv", "bom.csv"):
        found = read_matrix(tmp_path / name)
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, MATRIX)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"1,0\n0,1\n", r"must end in \.csv or \.npy"),
        ("a.csv", b"", "0 bytes"),
        ("a.csv", b"\n\n", "square"),
        ("a.csv", b"1,0\n0,0.9\n", "row 1 is not a distribution"),
        ("a.csv", b"1.5,-0.5\n0,1\n", "row 0 is not a distribution"),
        ("a.csv", b"nan,1\n0,1\n", "row 0 is not a distribution"),
        ("a.csv", b"1,0,0\n0,1,0\n", r"square \[C, C\], this one is \[2, 3\]"),
        ("a.csv", b"1,0\n0\n", "equal rows"),
        ("a.csv", b"a,b\n1,0\n", "could not convert"),
        ("a.csv", b"\xff\xfe\x00", "cannot use"),
        ("a.npy", b"1,0\n0,1\n", "cannot use"),
        ("a.npy", b"\x93NUMPY", "cannot use"),
    ],
)
def test_other_files_are_refused_in_one_line_that_names_them(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SuiteError, match=message) as refusal:
        read_matrix(tmp_path / name)
    assert str(tmp_path / name) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_objects_and_huge_files_are_not_read(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([[print]], dtype=object), allow_pickle=True)
    with pytest.raises(SuiteError, match="cannot use"):
        read_matrix(tmp_path / "objects.npy")
    with (tmp_path / "huge.npy").open("wb") as file:
        file.truncate(2**24 + 1)
    with pytest.raises(SuiteError, match="16,777,217 bytes"):
        read_matrix(tmp_path / "huge.npy")


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(SuiteError, match=r"cannot read .*none\.csv: No such file"):
        read_matrix(tmp_path / "none.csv")
