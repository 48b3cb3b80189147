import gzip
import hashlib
import zlib

import numpy as np
import pytest
import yaml

from embedded import draw_clothes
from emlc.data import open_dataset
from emlc.data.clothes import LOOK_ALIKES, Clothes
from emlc.records.bundles import read_arrays
from emlc.records.errors import SuiteError
from tests.fixtures import ROOT, md5

FILE = ROOT / "embedded" / "clothes.npz"
TRAIN_SHA256 = "d2dae0ca838cba7c9ec0f183a65629341ca646c82d3c5b7895ea211eae22ecb5"
TEST_SHA256 = "f74c0f564aef90f7da83e5c1b0ad863b3a6532df1dcd1e5210a26a341265aee7"
DTYPES = dict.fromkeys(("train_zlib", "train_labels", "test_zlib", "test_labels"), "|u1")


@pytest.fixture(scope="module")
def arrays():
    return Clothes().prepare((FILE,))


def test_dvc_pins_the_embedded_file():
    pointer = yaml.safe_load((ROOT / "clothes.dvc").read_text())
    (dep,), (out,) = pointer["deps"], pointer["outs"]
    assert (dep["path"], out["path"]) == ("embedded/clothes.npz", "data/clothes.npz")
    assert dep["md5"] == out["md5"] == md5(FILE.read_bytes())
    assert dep["size"] == out["size"] == FILE.stat().st_size <= 2_000_000
    assert "frozen" not in pointer


def test_the_licence_notice_lies_beside_the_file():
    notice = (ROOT / "embedded" / "LICENSE.fashion-mnist").read_text()
    for part in ("Zalando SE", "MIT", "this permission notice shall be included in all copies"):
        assert part in notice


def test_classes_are_balanced_and_sizes_are_clothing1m_in_small(arrays):
    assert arrays.train_images.shape == (2130, 28, 28, 1)
    assert arrays.test_images.shape == (1000, 28, 28, 1)
    assert (np.bincount(arrays.train_labels) == 213).all()
    assert (np.bincount(arrays.test_labels) == 100).all()
    assert len(arrays.class_names) == arrays.num_classes == 10
    assert arrays.train_images.dtype == np.uint8
    assert arrays.train_labels.dtype == np.int64


def test_the_pixels_are_the_official_ones(arrays):
    # SHA-256 of the images at the drawn positions of the official files, taken when they were drawn.
    assert hashlib.sha256(arrays.train_images.tobytes()).hexdigest() == TRAIN_SHA256
    assert hashlib.sha256(arrays.test_images.tobytes()).hexdigest() == TEST_SHA256
    assert len(np.unique(arrays.train_images.reshape(2130, -1), axis=0)) == 2130
    everything = np.concatenate([arrays.train_images, arrays.test_images]).reshape(3130, -1)
    assert len(np.unique(everything, axis=0)) == 3130  # no test image is a training image


def test_the_stated_statistics_are_the_training_pixels(arrays):
    pixels = arrays.train_images / 255
    assert Clothes().mean == (round(pixels.mean(), 4),)
    assert Clothes().std == (round(pixels.std(), 4),)


def test_shoes_point_to_the_left(arrays):
    """Why images are not mirrored: the shaft of an ankle boot, above its heel, is on the right everywhere."""
    for images, labels in [
        (arrays.train_images, arrays.train_labels),
        (arrays.test_images, arrays.test_labels),
    ]:
        boots = images[labels == 9, :, :, 0].astype(float)
        shaft = boots[:, :10].sum(axis=(0, 1))  # of the upper third
        assert shaft[14:].sum() > 2 * shaft[:14].sum()
    assert not Clothes().flips


def test_a_profile_can_open_it():
    dataset = open_dataset("clothes", {"kind": "clothes"})
    assert (dataset.title, dataset.pointers) == ("Clothes (Fashion-MNIST, part)", ("clothes.dvc",))
    assert dataset.class_map == LOOK_ALIKES
    names = Clothes().prepare((FILE,)).class_names
    assert {names[a]: names[b] for a, (b,) in LOOK_ALIKES.items()} == {
        "T-shirt/top": "Shirt",
        "Shirt": "T-shirt/top",
        "Pullover": "Coat",
        "Coat": "Pullover",
        "Sandal": "Sneaker",
        "Sneaker": "Ankle boot",
        "Ankle boot": "Sneaker",
    }


def stream(pixels):
    return np.frombuffer(zlib.compress(bytes(pixels)), np.uint8)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_zlib": None}, "does not hold exactly"),
        ({"train_zlib": np.zeros(100, np.uint8)}, "does not hold the part of Fashion-MNIST"),
        ({"train_zlib": np.zeros(0, np.uint8)}, "does not hold the part of Fashion-MNIST"),
        ({"test_zlib": stream(1000 * 784 - 1)}, "does not hold the part of Fashion-MNIST"),
        ({"test_zlib": stream(1000 * 784 + 1)}, "does not hold the part of Fashion-MNIST"),
        ({"test_zlib": stream(1000 * 784)[:-1]}, "does not hold the part of Fashion-MNIST"),
        ({"train_labels": np.zeros(2129, np.uint8)}, "does not hold the part of Fashion-MNIST"),
        ({"train_labels": np.arange(2130, dtype=np.uint8) % 9}, "does not hold the part of Fashion-MNIST"),
        ({"train_labels": np.arange(2130, dtype=np.uint8) % 11}, "does not hold the part of Fashion-MNIST"),
        ({"train_labels": np.zeros(2130)}, r"array train_labels is <f8, not \|u1"),
    ],
)
def test_another_npz_is_refused_in_one_line(tmp_path, changes, message):
    content = {**read_arrays(FILE, DTYPES), **changes}
    np.savez(tmp_path / "other.npz", **{name: array for name, array in content.items() if array is not None})
    with pytest.raises(SuiteError, match=message) as caught:
        Clothes().prepare((tmp_path / "other.npz",))
    assert str(caught.value).endswith("; delete it and run python -m pipelines.fetch clothes.dvc")
    assert "\n" not in str(caught.value)


def write_source(folder, monkeypatch):
    """Write small files in Fashion-MNIST's layout and let the script take them for the official ones."""
    contents = {}
    for seed, (split, (images, labels)) in enumerate(draw_clothes.FILES.items()):
        rng = np.random.default_rng(seed)
        classes = rng.permutation(np.repeat(np.arange(10, dtype=np.uint8), draw_clothes.PER_CLASS[split] + 2))
        contents[images] = bytes(16) + rng.integers(0, 256, (len(classes), 28, 28), np.uint8).tobytes()
        contents[labels] = bytes(8) + classes.tobytes()
    for name, content in contents.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    monkeypatch.setattr(draw_clothes, "MD5", {name: md5(content) for name, content in contents.items()})
    return contents


def test_the_script_draws_what_the_dataset_reads(tmp_path, monkeypatch):
    contents = write_source(tmp_path, monkeypatch)
    members = draw_clothes.part_of(tmp_path, "train") | draw_clothes.part_of(tmp_path, "test")
    np.savez(tmp_path / "clothes.npz", **members)
    arrays = Clothes().prepare((tmp_path / "clothes.npz",))
    for split, images, labels in [
        ("train", arrays.train_images, arrays.train_labels),
        ("test", arrays.test_images, arrays.test_labels),
    ]:
        pixels, classes = (contents[name] for name in draw_clothes.FILES[split])
        source_labels = np.frombuffer(classes[8:], np.uint8)
        chosen = draw_clothes.drawn(source_labels, split)
        assert (np.diff(chosen) > 0).all()
        np.testing.assert_array_equal(labels, source_labels[chosen])
        np.testing.assert_array_equal(images, np.frombuffer(pixels[16:], np.uint8).reshape(-1, 28, 28, 1)[chosen])


def test_the_script_refuses_other_files(tmp_path, monkeypatch):
    write_source(tmp_path, monkeypatch)
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    with pytest.raises(SuiteError, match=r"cannot read .*none"):
        draw_clothes.part_of(tmp_path / "none", "train")
    path.write_bytes(gzip.compress(b"other"))
    with pytest.raises(SuiteError, match="not Fashion-MNIST's file"):
        draw_clothes.part_of(tmp_path, "train")
    path.write_bytes(b"no gzip")
    with pytest.raises(SuiteError, match="cannot read"):
        draw_clothes.part_of(tmp_path, "train")
