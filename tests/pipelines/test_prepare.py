import shutil
import subprocess
import sys

import numpy as np
import pytest

from emlc.data import open_dataset
from emlc.data.store import load_arrays
from emlc.records.errors import SuiteError
from pipelines.fetch import fetch
from pipelines.prepare import prepare, source_files
from pipelines.profile.load import checked
from pipelines.workflow.jobs import Jobs
from tests.fixtures import ROOT, encode, write_cifar_archive, write_pointer
from tests.stores import write_order
from tests.tiny import tiny_profile

DIGITS_SHA256 = "e0d38567fbbac3dee32172f595f005a856f75d6883d1f84366adbfe9d6b12105"


@pytest.fixture
def digits(tmp_path):
    """A repository with the embedded data, fetched."""
    (tmp_path / "embedded").mkdir()
    shutil.copy(ROOT / "embedded" / "digits.npz", tmp_path / "embedded")
    shutil.copy(ROOT / "data.dvc", tmp_path)
    fetch(tmp_path / "data.dvc")
    return tmp_path


def test_digits_from_pointer_to_arrays(digits):
    dataset = open_dataset("digits", {"kind": "digits"})
    digest = prepare(dataset, source_files(dataset, digits), digits / "out" / "digits.npz")
    arrays, found = load_arrays(digits / "out" / "digits.npz")
    assert found == digest == DIGITS_SHA256
    assert (len(arrays.train_labels), len(arrays.test_labels)) == (1437, 360)


def test_cifar_from_mirror_to_arrays(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "mirror").mkdir()
    archive = tmp_path / "mirror" / "cifar-10-python.tar.gz"
    write_cifar_archive(archive, images_per_class=2)
    write_pointer(tmp_path / "data" / "small.dvc", archive)
    dataset = open_dataset("small", {"kind": "cifar10", "source": "data/small.dvc"})
    with pytest.raises(SuiteError, match=r"cifar-10-python\.tar\.gz is missing; run python -m pipelines\.fetch"):
        source_files(dataset, tmp_path)
    fetch(tmp_path / "data" / "small.dvc", str(tmp_path / "mirror"))
    prepare(dataset, source_files(dataset, tmp_path), tmp_path / "small.npz")
    np.testing.assert_array_equal(np.bincount(load_arrays(tmp_path / "small.npz")[0].train_labels), [2] * 10)


def test_a_folder_of_ones_own_needs_no_pointer(tmp_path, caplog):
    caplog.set_level("INFO")
    for name in ("train/a/1", "train/b/2", "test/a/1", "test/b/2"):
        path = tmp_path / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(np.zeros((4, 4, 3), np.uint8)))
    dataset = open_dataset("mine", {"kind": "image-folder", "source": "images"})
    prepare(dataset, source_files(dataset, tmp_path), tmp_path / "mine.npz")
    assert load_arrays(tmp_path / "mine.npz")[0].class_names == ("a", "b")
    assert "classes of mine in label order: 0 a (1 + 1), 1 b (1 + 1)" in caplog.text
    gone = open_dataset("gone", {"kind": "image-folder", "source": "no-images"})
    with pytest.raises(SuiteError, match="no-images does not exist; it is configured"):
        source_files(gone, tmp_path)


def test_truncated_data_are_refused_and_nothing_is_written(digits):
    file = digits / "data" / "digits.npz"
    file.write_bytes(file.read_bytes()[:1000])
    dataset = open_dataset("digits", {"kind": "digits"})
    with pytest.raises(SuiteError, match=r"digits\.npz is damaged: it has 1,000 bytes instead of 117,315"):
        source_files(dataset, digits)
    with pytest.raises(SuiteError, match=r"digits\.npz is not a readable npz file"):
        prepare(dataset, (file,), digits / "out.npz")
    assert not (digits / "out.npz").exists()


def test_command_line(tmp_path):
    images = tmp_path / "images"
    for name in ("train/a/1", "train/b/2", "test/a/1", "test/b/2"):
        path = images / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(np.zeros((4, 4, 3), np.uint8)))
    digits = tiny_profile()["datasets"]["digits"] | {"kind": "image-folder", "options": {"source": str(images)}}

    def start():
        order = Jobs(checked(tiny_profile(datasets={"digits": digits})), tmp_path / "results").steps.data("digits")
        command = [sys.executable, "-m", "pipelines.prepare", str(write_order(order))]
        return order, subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    order, done = start()
    assert done.returncode == 0, done.stderr
    assert done.stderr == "classes of digits in label order: 0 a (1 + 1), 1 b (1 + 1)\n"
    assert load_arrays(order.folder / "arrays.npz")[0].num_classes == 2
    (images / "train/a/1.png").write_bytes(b"broken")
    other, done = start()
    assert other.id != order.id  # the images are part of what is asked for
    assert done.returncode == 2
    assert "'train/a/1.png' is not a readable JPEG or PNG" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not other.folder.exists()
