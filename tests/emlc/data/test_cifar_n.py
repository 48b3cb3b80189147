import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from emlc.data.cifar_n import LABEL_SETS, read_human_labels
from emlc.records.errors import SuiteError
from tests.fixtures import md5, shared_file, torch_reads

CIFAR10N_MD5 = "96644db5574813cae939af5f7f2a0aec"
CIFAR100N_MD5 = "a67b45c1d7992051865b5c755bd68bb1"
TRUE = np.array([3, 1, 0, 2, 1])
HUMAN = np.array([3, 1, 2, 2, 0])


@pytest.fixture
def write(tmp_path):
    """A label file as the official ones were written: a torch zip around a protocol-2 pickle."""

    def make(content, member="archive/data.pkl"):
        path = tmp_path / "human.pt"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, pickle.dumps(content, 2))
            archive.writestr("archive/version", "3\n")
        return path, md5(path.read_bytes())

    return make


def test_human_labels_are_returned_in_order(write):
    path, pinned = write({"clean_label": TRUE, "worse_label": HUMAN, "aggre_label": TRUE, "side_info": [1]})
    labels = read_human_labels(path, pinned, TRUE)
    assert sorted(labels) == ["aggre", "worst"]
    np.testing.assert_array_equal(labels["worst"], HUMAN, strict=True)
    np.testing.assert_array_equal(labels["aggre"], TRUE, strict=True)


@pytest.mark.parametrize(
    "true",
    [TRUE[::-1].copy(), TRUE[:4], np.append(TRUE, 0), np.array([3, 1, 0, 2, 2])],
    ids=["order", "part", "more", "one"],
)
def test_another_order_is_refused(write, true):
    path, pinned = write({"clean_label": TRUE, "worse_label": HUMAN})
    with pytest.raises(SuiteError, match=r"true labels \(5 images\) are not those of the dataset"):
        read_human_labels(path, pinned, true)


def test_another_checksum_is_refused_before_reading(write, tmp_path):
    path, pinned = write({"clean_label": TRUE, "worse_label": HUMAN})
    with pytest.raises(SuiteError, match=f"has md5 {pinned} instead of {CIFAR10N_MD5}"):
        read_human_labels(path, CIFAR10N_MD5, TRUE)
    with pytest.raises(SuiteError, match="cannot read"):
        read_human_labels(tmp_path / "absent.pt", pinned, TRUE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"worse_label": HUMAN}, "no integer array 'clean_label'"),
        ({"clean_label": TRUE, "worst_label": HUMAN}, "has none of the label sets aggre_label, "),
        ({"clean_label": TRUE, "worse_label": [3, 1, 2, 2, 0]}, "no integer array 'worse_label'"),
        ({"clean_label": TRUE, "worse_label": HUMAN[:4]}, "do not fit"),
        ({"clean_label": TRUE, "worse_label": HUMAN - 1}, "do not fit"),
        ({"clean_label": TRUE, "worse_label": HUMAN + 1}, "do not fit"),
        ({"clean_label": os.system}, "the pickle names posix.system"),
    ],
)
def test_broken_content_is_refused(write, content, message):
    path, pinned = write(content)
    with pytest.raises(SuiteError, match=message):
        read_human_labels(path, pinned, TRUE)


def test_other_files_are_refused(write, tmp_path):
    path, pinned = write({"clean_label": TRUE}, member="archive/other.pkl")
    with pytest.raises(SuiteError, match="is not a readable label file"):
        read_human_labels(path, pinned, TRUE)
    for content in (b"no zip", b"", b"\x93NUMPY", b"PK\3\4", b"\x80\2."):
        path.write_bytes(content)
        with pytest.raises(SuiteError, match=r"human\.pt is not a readable .*; save it again, with torch\.save or"):
            read_human_labels(path, md5(content), TRUE)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int32, np.uint64])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_integers_of_any_width_in_pickles_of_any_protocol_load(tmp_path, dtype, protocol):
    content = {"clean_label": TRUE.astype(dtype), "worse_label": HUMAN.astype(dtype), "share": np.float32([0.4])}
    found = pickle.dumps(content, protocol)
    (tmp_path / "human.pkl").write_bytes(found)
    labels = read_human_labels(tmp_path / "human.pkl", md5(found), TRUE)
    assert list(labels) == ["worst"]
    np.testing.assert_array_equal(labels["worst"], HUMAN, strict=True)


def torch_saved(content, **options):
    import torch

    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def numpy_saved(content):
    buffer = io.BytesIO()
    np.save(buffer, content, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "save",
    [torch_saved, lambda content: torch_saved(content, pickle_protocol=5), numpy_saved],
    ids=["torch", "torch-5", "numpy"],
)
def test_whatever_saved_a_dictionary_of_arrays(tmp_path, save):
    found = save({"clean_label": TRUE, "noisy_label": HUMAN})
    (tmp_path / "human.npy").write_bytes(found)
    labels = read_human_labels(tmp_path / "human.npy", md5(found), TRUE)
    np.testing.assert_array_equal(labels["noisy"], HUMAN, strict=True)


def test_what_cannot_be_read_is_told_with_what_to_do(tmp_path):
    import torch

    tensors = {"clean_label": torch.tensor(TRUE)}
    cases = {
        "it holds PyTorch tensors; call .numpy() on each": torch_saved(tensors),
        "it holds int": torch_saved({"clean_label": TRUE}, _use_new_zipfile_serialization=False),
        "it was not written by torch.save": npz_saved(clean_label=TRUE),
        "is not a readable pickled dictionary": numpy_saved(TRUE),
        "no integer array 'clean_label' (float32 [5])": pickle.dumps({"clean_label": TRUE.astype(np.float32)}),
        "no integer array 'clean_label' (int64 [1, 5])": pickle.dumps({"clean_label": TRUE[None]}),
        "no integer array 'clean_label' (list)": pickle.dumps({"clean_label": TRUE.tolist()}),
    }
    for reason, content in cases.items():
        (tmp_path / "human.pt").write_bytes(content)
        with pytest.raises(SuiteError) as caught:
            read_human_labels(tmp_path / "human.pt", md5(content), TRUE)
        message = str(caught.value)
        assert reason in message
        assert message.startswith(str(tmp_path / "human.pt"))
        assert "save it again, with torch.save or numpy.save, as a dictionary of NumPy arrays" in message
        assert "delete" not in message
        assert "\n" not in message


def npz_saved(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("label_set", "percent"),
    [("aggre", 9.01), ("random1", 17.23), ("random2", 18.12), ("random3", 17.64), ("worst", 40.21)],
)
def test_cifar10n_rates(label_set, percent):
    path = shared_file("CIFAR-10_human.pt")
    reference = torch_reads(path)
    true = reference["clean_label"]
    labels = read_human_labels(path, CIFAR10N_MD5, true)[label_set]
    np.testing.assert_array_equal(labels, reference[LABEL_SETS[label_set]])
    assert true[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert 100 * np.mean(labels != true) == pytest.approx(percent, abs=0.005)


def test_cifar100n_rate():
    path = shared_file("CIFAR-100_human.pt")
    true = torch_reads(path)["clean_label"]
    labels = read_human_labels(path, CIFAR100N_MD5, true)["noisy"]
    assert true[:10].tolist() == [19, 29, 0, 11, 1, 86, 90, 28, 23, 31]
    assert 100 * np.mean(labels != true) == pytest.approx(40.20, abs=0.005)
