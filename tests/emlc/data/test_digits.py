import numpy as np
import pytest
import yaml
from sklearn.datasets import load_digits

from emlc.data.digits import Digits, held_out
from emlc.records.bundles import read_arrays
from emlc.records.errors import SuiteError
from tests.fixtures import ROOT, md5

FILE = ROOT / "embedded" / "digits.npz"
DTYPES = {"images": "|u1", "labels": "|u1"}


def test_the_embedded_file_is_what_scikit_learn_ships(tmp_path):
    original = load_digits()
    content = read_arrays(FILE, DTYPES)
    np.testing.assert_array_equal(content["images"], original.images)
    np.testing.assert_array_equal(content["labels"], original.target)
    raw = {"images": original.images.astype(np.uint8), "labels": original.target.astype(np.uint8)}
    np.savez(tmp_path / "again.npz", **raw)
    assert (tmp_path / "again.npz").read_bytes() == FILE.read_bytes()


def test_dvc_pins_the_embedded_file():
    pointer = yaml.safe_load((ROOT / "data.dvc").read_text())
    (dep,), (out,) = pointer["deps"], pointer["outs"]
    assert (dep["path"], out["path"]) == ("embedded/digits.npz", "data/digits.npz")
    assert dep["md5"] == out["md5"] == md5(FILE.read_bytes())
    assert dep["size"] == out["size"] == FILE.stat().st_size
    assert "frozen" not in pointer


def test_the_test_set_is_fixed_and_stratified():
    labels = load_digits().target
    test = held_out(labels)
    np.testing.assert_array_equal(np.bincount(labels[test]), [36] * 10)
    assert len(set(test.tolist())) == 360
    assert test[:8].tolist() == [18, 19, 22, 25, 26, 31, 33, 36]
    assert test.sum() == 329144


def test_train_and_test_together_are_all_images_scaled_to_bytes():
    original = load_digits()
    arrays = Digits().prepare((FILE,))
    test = held_out(original.target)
    train = np.array([i for i in range(1797) if i not in set(test.tolist())])
    for images, labels, indices in [
        (arrays.train_images, arrays.train_labels, train),
        (arrays.test_images, arrays.test_labels, test),
    ]:
        np.testing.assert_array_equal(labels, original.target[indices])
        np.testing.assert_array_equal(images[..., 0], np.floor(original.images[indices] * 255 / 16 + 0.5))
    assert arrays.train_images.shape == (1437, 8, 8, 1)
    assert (arrays.train_images.min(), arrays.train_images.max()) == (0, 255)
    assert arrays.class_names == tuple("0123456789")


def test_the_stated_statistics_are_the_training_pixels():
    pixels = Digits().prepare((FILE,)).train_images / 255
    assert Digits().mean == (round(pixels.mean(), 4),)
    assert Digits().std == (round(pixels.std(), 4),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "does not hold exactly images.npy, labels.npy"),
        ({"labels": None}, "does not hold exactly images.npy, labels.npy"),
        ({"more": np.arange(3)}, "does not hold exactly images.npy, labels.npy"),
        ({"images": np.zeros((1797, 8, 8))}, r"array images is <f8, not \|u1"),
        ({"images": np.full((1797, 8, 8), 17, np.uint8)}, "does not hold the UCI digits"),
        ({"images": np.zeros((1797, 64), np.uint8)}, "does not hold the UCI digits"),
        ({"labels": np.zeros((), np.uint8)}, "does not hold the UCI digits"),
        ({"labels": np.arange(1797, dtype=np.uint8)[:, None] % 10}, "does not hold the UCI digits"),
        ({"labels": np.arange(1797, dtype=np.uint8) % 9}, "does not hold the UCI digits"),
        ({"labels": np.arange(1797, dtype=np.uint8) % 11}, "does not hold the UCI digits"),
    ],
)
def test_another_npz_is_refused_in_one_line(tmp_path, changes, message):
    content = {**read_arrays(FILE, DTYPES), **changes}
    np.savez(tmp_path / "other.npz", **{name: array for name, array in content.items() if array is not None})
    with pytest.raises(SuiteError, match=message) as caught:
        Digits().prepare((tmp_path / "other.npz",))
    assert str(caught.value).endswith("; move it away and run python -m pipelines.fetch data.dvc")
    assert "\n" not in str(caught.value)
