from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emlc.data import open_dataset
from emlc.data.cifar_n import read_human_labels
from emlc.data.image_folder import natural_key
from emlc.records.errors import SuiteError
from tests.fixtures import encode, shared_file, torch_reads, write_tar


def solid(value: int, side: int = 8) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


def numbered() -> dict[str, bytes]:
    """Image number i has value i; numbers run across classes, as in an official index order."""
    names = {"train": ["cat", "dog", "ant", "cat", "dog", "ant"], "test": ["dog", "cat", "ant"]}
    images = {f"{split}/{c}/{i:02}.png": encode(solid(i)) for split, cs in names.items() for i, c in enumerate(cs)}
    return dict(sorted(images.items()))


def prepare(source: Path, **options):
    return open_dataset("mine", {"kind": "image-folder", "source": str(source), **options}).prepare((source,))


def unpack(root: Path, members: dict[str, bytes | None]) -> Path:
    for name, data in members.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if data is None else path.write_bytes(data)
    return root


def packed(path: Path, members: dict[str, bytes | None]) -> Path:
    write_tar(path, members)
    return path


@pytest.fixture(params=["folder", "tar", "tar.gz", "tar.xz"])
def make(request, tmp_path):
    if request.param == "folder":
        return lambda members: unpack(tmp_path / "images", members)
    return lambda members: packed(tmp_path / f"images.{request.param}", members)


def test_numbered_images_come_in_index_order_across_classes(make):
    arrays = prepare(make(numbered()))
    assert arrays.class_names == ("ant", "cat", "dog")
    assert arrays.train_images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5]
    assert arrays.train_labels.tolist() == [1, 2, 0, 1, 2, 0]
    assert arrays.test_images[:, 7, 7, 2].tolist() == [0, 1, 2]
    assert arrays.test_labels.tolist() == [2, 1, 0]


def test_configured_classes_give_the_label_order(make):
    arrays = prepare(make(numbered()), classes=["dog", "ant", "cat"])
    assert arrays.class_names == ("dog", "ant", "cat")
    assert arrays.train_labels.tolist() == [2, 0, 1, 2, 0, 1]


def test_other_names_come_class_by_class_in_natural_order(make):
    names = ["train/b/x10", "train/b/x9", "train/a/y", "train/a/1", "test/a/1", "test/b/1"]
    arrays = prepare(make({f"{name}.png": encode(solid(i)) for i, name in enumerate(names)}))
    assert arrays.train_images[:, 0, 0, 0].tolist() == [3, 2, 1, 0]
    assert arrays.train_labels.tolist() == [0, 0, 1, 1]


def test_numbers_are_ordered_by_value():
    names = ["a10b2", "a9", "a10b10", "b", "a"]
    assert sorted(names, key=natural_key) == ["a", "a9", "a10b2", "a10b10", "b"]


def test_hidden_files_and_a_readme_are_skipped(make):
    extra = {"README.md": b"hello", "train/.DS_Store": b"x", ".git/config": b"x", "train/cat/._00.png": b"x"}
    assert prepare(make(extra | numbered())).train_labels.tolist() == [1, 2, 0, 1, 2, 0]


def test_jpeg_pixels_are_what_pillow_decodes(tmp_path):
    gradient = np.add.outer(np.arange(16), np.arange(16))[..., None].repeat(3, 2).astype(np.uint8) * 4
    members = {name.replace("png", "jpg"): encode(gradient, "JPEG") for name in numbered()}
    arrays = prepare(packed(tmp_path / "i.tar", members))
    assert np.abs(arrays.train_images[0].astype(int) - gradient).mean() < 4


BAD = {
    "grey": ({"train/cat/00.png": encode(np.zeros((8, 8), np.uint8))}, r"'train/cat/00\.png' is 'L', not RGB"),
    "grey-jpeg": ({"train/cat/00.png": encode(np.zeros((8, 8), np.uint8), "JPEG")}, r"'train/cat/00\.png' is 'L'"),
    "alpha": ({"train/cat/00.png": encode(np.zeros((8, 8, 4), np.uint8))}, r"is 'RGBA', not RGB"),
    "size": ({"train/dog/01.png": encode(solid(0, 9))}, r"'train/dog/01\.png' has \(9, 9\) pixels"),
    "corrupt": ({"train/dog/01.png": b"\xff\xd8\xff\xe0 not a jpeg"}, r"'train/dog/01\.png' is not a readable JPEG"),
    "cut": ({"train/dog/01.png": encode(solid(7), "JPEG")[:-60]}, r"'train/dog/01\.png' is not a readable JPEG"),
    "cut-png": ({"train/dog/01.png": encode(solid(7))[:45]}, r"'train/dog/01\.png' is not a readable JPEG"),
    "gif": ({"train/dog/01.png": encode(solid(7), "GIF")}, r"'train/dog/01\.png' is not a readable JPEG"),
    "empty-file": ({"train/dog/01.png": b""}, r"'train/dog/01\.png' is not a readable JPEG"),
    "empty-class": ({"train/emu": None, "test/emu": None}, r"class 'train/emu' has no image"),
    "no-test": ({"train/emu/99.png": encode(solid(1))}, r"class 'test/emu' has no image"),
    "suffix": ({"train/dog/01.tif": b"x"}, r"'train/dog/01\.tif' is not train/<class>/<name>"),
    "split": ({"val/dog/01.png": encode(solid(1))}, r"'val/dog/01\.png' is not train/<class>/<name>"),
    "deep": ({"train/dog/x/01.png": encode(solid(1))}, r"'train/dog/x/01\.png' is not train/<class>"),
    "flat": ({"train/01.png": encode(solid(1))}, r"'train/01\.png' is not train/<class>/<name>"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_images_are_refused_in_one_line_that_names_them(make, case):
    changes, message = BAD[case]
    source = make(numbered() | changes)
    with pytest.raises(SuiteError, match=message) as caught:
        prepare(source)
    assert str(source) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_beside_the_configured_classes_is_refused(make):
    source = make(numbered())
    with pytest.raises(SuiteError, match="folder 'dog' that is not among the configured classes"):
        prepare(source, classes=["cat", "ant"])
    with pytest.raises(SuiteError, match="class 'train/emu' has no image"):
        prepare(source, classes=["cat", "dog", "ant", "emu"])


def test_an_empty_source_is_refused(make):
    with pytest.raises(SuiteError, match="has 0 class folders"):
        prepare(make({"README.md": b"nothing here"}))


def test_a_huge_image_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr("emlc.data.image_folder.MAX_PIXELS", 63)
    with pytest.raises(SuiteError, match=r"\(8, 8\) pixels, more than 63"):
        prepare(packed(tmp_path / "i.tar", numbered()))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_images_are_read_or_refused(tmp_path, data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG"]))
    image = bytearray(encode(solid(100), kind))
    for _ in range(data.draw(st.integers(1, 4))):
        image[data.draw(st.integers(0, len(image) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "i.tar").unlink(missing_ok=True)  # file systems flush a file that is written over: milliseconds
    with suppress(SuiteError):
        arrays = prepare(packed(tmp_path / "i.tar", numbered() | {"train/dog/01.png": bytes(image)}))
        assert arrays.train_images.shape == (6, 8, 8, 3)


@pytest.mark.slow
def test_cifar10_jpeg_is_in_the_official_order():
    archive, human = shared_file("cifar10-jpeg.tar.xz"), shared_file("CIFAR-10_human.pt")
    arrays = prepare(archive)
    assert arrays.train_images.shape == (50_000, 32, 32, 3)
    assert arrays.test_images.shape == (10_000, 32, 32, 3)
    np.testing.assert_array_equal(np.bincount(arrays.test_labels), [1000] * 10)
    np.testing.assert_array_equal(arrays.train_labels, torch_reads(human)["clean_label"])
    labels = read_human_labels(human, "96644db5574813cae939af5f7f2a0aec", arrays.train_labels)
    rates = {name: round(100 * float(np.mean(labels[name] != arrays.train_labels)), 2) for name in labels}
    assert rates == {"aggre": 9.01, "random1": 17.23, "random2": 18.12, "random3": 17.64, "worst": 40.21}
