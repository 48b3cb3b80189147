import numpy as np
import pytest

from emlc.data.cifar import Cifar10, Cifar100
from emlc.data.store import check_arrays
from emlc.noise.class_maps import CIFAR10, CIFAR100_CYCLIC
from emlc.records.errors import SuiteError
from tests.fixtures import pickle_like_python2, write_cifar_archive, write_tar

PLANE = 32 * 32
NAMES = [b"a", b"b"]


def members(**changes):
    """A CIFAR-10 archive of two classes; batch `i` holds one image, all red values i, green i + 50, blue i + 100."""
    content = {"batches.meta": {b"label_names": NAMES}}
    for i, name in enumerate([*(f"data_batch_{batch}" for batch in range(1, 6)), "test_batch"]):
        pixels = np.repeat(np.array([i, i + 50, i + 100], np.uint8), PLANE)[None]
        pixels[0, 33] = 255  # red plane, row 1, column 1
        content[name] = {b"labels": [i % 2], b"data": pixels}
    return content | changes


def write(path, content):
    write_tar(path, {f"cifar-10-batches-py/{name}": pickle_like_python2(value) for name, value in content.items()})
    return path


def test_batches_are_joined_in_order_and_planes_become_pixels(tmp_path):
    content = members()
    shuffled = dict(reversed(content.items()))
    arrays = Cifar10().prepare((write(tmp_path / "c.tar.gz", shuffled),))
    assert arrays.train_labels.tolist() == [0, 1, 0, 1, 0]
    assert arrays.train_images[:, 0, 0].tolist() == [[i, i + 50, i + 100] for i in range(5)]
    assert arrays.train_images[3, 1, 1].tolist() == [255, 53, 103]
    assert arrays.test_images[0, 31, 31].tolist() == [5, 55, 105]
    assert arrays.class_names == ("a", "b")


@pytest.mark.parametrize(("dataset", "classes"), [(Cifar10(), 10), (Cifar100(), 100)])
def test_archives_in_the_official_layout(tmp_path, dataset, classes):
    path = tmp_path / "c.tar.gz"
    write_cifar_archive(path, images_per_class=3, num_classes=classes)
    arrays = dataset.prepare((path,))
    check_arrays(arrays, "fixture")
    assert arrays.train_images.shape == arrays.test_images.shape == (3 * classes, 32, 32, 3)
    np.testing.assert_array_equal(np.bincount(arrays.train_labels), [3] * classes)
    assert arrays.num_classes == classes


def test_the_fixture_can_be_learned(tmp_path):
    write_cifar_archive(tmp_path / "c.tar.gz", images_per_class=4)
    arrays = Cifar10().prepare((tmp_path / "c.tar.gz",))
    means = np.stack([arrays.train_images[arrays.train_labels == c].mean(axis=0) for c in range(10)])
    distances = ((arrays.test_images[:, None] - means) ** 2).sum(axis=(2, 3, 4))
    np.testing.assert_array_equal(distances.argmin(axis=1), arrays.test_labels)


def test_facts():
    assert (Cifar10().class_map, Cifar100().class_map) == (CIFAR10, CIFAR100_CYCLIC)
    assert Cifar10().pointers == ("data/cifar10.dvc",)
    assert Cifar100().pointers == ("data/cifar100.dvc",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_batch_3": None}, "has no cifar-10-batches-py/data_batch_3: not the official"),
        ({"batches.meta": {b"num_vis": 3072}}, "has no list label_names"),
        ({"test_batch": {b"labels": [0]}}, "no uint8 array 'data'"),
        ({"test_batch": {b"labels": [0], b"data": np.zeros((1, 3), np.uint8)}}, "of 3072 values an image"),
        ({"test_batch": {b"labels": [0], b"data": np.zeros((1, 3072), np.int64)}}, "no uint8 array"),
        ({"test_batch": {b"labels": [0, 1], b"data": np.zeros((1, 3072), np.uint8)}}, "one label for each of 1"),
        ({"test_batch": {b"labels": [2], b"data": np.zeros((1, 3072), np.uint8)}}, "'labels' outside 0 to 1"),
        ({"test_batch": {b"labels": [b"0"], b"data": np.zeros((1, 3072), np.uint8)}}, "'labels' outside 0 to 1"),
    ],
)
def test_archives_of_another_layout_are_refused(tmp_path, changes, message):
    content = {name: value for name, value in members(**changes).items() if value is not None}
    with pytest.raises(SuiteError, match=message) as caught:
        Cifar10().prepare((write(tmp_path / "c.tar.gz", content),))
    assert "c.tar.gz" in str(caught.value)


def test_a_hostile_batch_is_refused_by_name(tmp_path):
    path = tmp_path / "c.tar.gz"
    write_tar(path, {"cifar-10-batches-py/data_batch_1": b"cos\nsystem\n(S'true'\ntR."})
    with pytest.raises(SuiteError, match=r"c\.tar\.gz: cifar-10-batches-py/data_batch_1: the pickle names os\.system"):
        Cifar10().prepare((path,))
