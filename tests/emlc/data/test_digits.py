import numpy as np
import pytest
import yaml
from sklearn.datasets import load_digits

from emlc.data.digits import Digits, held_out
from emlc.data.npz import read_npz, write_npz
from emlc.errors import SuiteError
from tests.fixtures import ROOT, md5

FILE = ROOT / "embedded" / "digits.npz"


def test_the_embedded_file_is_what_scikit_learn_ships(tmp_path):
    original = load_digits()
    content = read_npz(FILE)
    np.testing.assert_array_equal(content["images"], original.images)
    np.testing.assert_array_equal(content["labels"], original.target)
    raw = {"images": original.images.astype(np.uint8), "labels": original.target.astype(np.uint8)}
    write_npz(tmp_path / "again.npz", raw)
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


@pytest.mark.parametrize("broken", ["images", "labels", "values", "class"])
def test_another_npz_is_refused(tmp_path, broken):
    content = read_npz(FILE)
    if broken == "values":
        content["images"][0, 0, 0] = 17
    elif broken == "class":
        content["labels"][content["labels"] == 9] = 8
    else:
        del content[broken]
    write_npz(tmp_path / "other.npz", content)
    with pytest.raises(SuiteError, match="does not hold the UCI digits"):
        Digits().prepare((tmp_path / "other.npz",))
