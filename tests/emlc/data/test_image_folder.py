import re
import struct
import zipfile
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from emlc.data import open_dataset
from emlc.data.cifar_n import read_human_labels
from emlc.data.image_folder import natural_key
from emlc.data.pictures import decode
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


def test_class_folders_come_in_natural_order(make):
    arrays = prepare(make({f"{split}/{i}/{i}.png": encode(solid(i)) for split in ("train", "test") for i in range(12)}))
    assert arrays.class_names == tuple(str(i) for i in range(12))
    assert arrays.train_labels.tolist() == list(range(12))
    assert arrays.train_images[:, 0, 0, 0].tolist() == list(range(12))


def test_hidden_files_and_a_readme_are_skipped(make):
    extra = {"README.md": b"hello", "train/.DS_Store": b"x", ".git/config": b"x", "train/cat/._00.png": b"x"}
    extra |= {"__MACOSX/train/cat/._00.png": b"x", "train/__MACOSX/01.png": b"x", "train/cat/__MACOSX": None}
    extra |= {"train/cat/Thumbs.db": b"x", "test/dog/desktop.ini": b"x", "train/.ipynb_checkpoints": None}
    arrays = prepare(make(extra | numbered()))
    assert arrays.train_labels.tolist() == [1, 2, 0, 1, 2, 0]
    assert arrays.class_names == ("ant", "cat", "dog")


def test_linked_splits_classes_and_files_are_followed(tmp_path):
    plain = unpack(tmp_path / "plain", numbered())
    linked = tmp_path / "linked"
    (linked / "train" / "dog").mkdir(parents=True)
    (linked / "test").symlink_to(plain / "test")
    (linked / "train" / "cat").symlink_to("../../plain/train/cat")
    (linked / "train" / "ant").symlink_to(plain / "train" / "ant", target_is_directory=True)
    for path in (plain / "train" / "dog").iterdir():
        (linked / "train" / "dog" / path.name).symlink_to(path)
    (tmp_path / "all").symlink_to("linked")
    expected, found = prepare(plain), prepare(tmp_path / "all")
    assert found.class_names == expected.class_names
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), strict=True)


def test_links_that_lead_nowhere_or_in_circles_are_named(tmp_path):
    source = unpack(tmp_path / "images", numbered())
    (source / "train" / "emu").symlink_to("gone")
    with pytest.raises(SuiteError, match=r"images/train/emu is a link to nothing; mend it or take it out$"):
        prepare(source)
    (source / "train" / "emu").unlink()
    (source / "train" / "emu").symlink_to("..")
    with pytest.raises(SuiteError, match=r"images/train/emu is a link to a folder that it lies in; take it out$"):
        prepare(source)


ORIENTATIONS = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}
"""EXIF's orientation -> what a viewer shows of the stored pixels."""


def photograph(pixels, orientation, kind="PNG"):
    exif, buffer = Image.Exif(), BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(buffer, kind, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("shape", [(8, 8), (5, 9)])
def test_pictures_are_turned_as_their_camera_says(orientation, shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    found = decode(photograph(pixels, orientation), "here")
    np.testing.assert_array_equal(found, ORIENTATIONS[orientation](pixels), strict=True)


def test_jpeg_photographs_are_turned(tmp_path):
    top_dark = np.concatenate([solid(0)[:4], solid(250)[:4]])
    pixels = decode(photograph(top_dark, 6, "JPEG"), "here")  # to be turned by 90 degrees, clockwise
    assert pixels[:, -2:].max() < 60
    assert pixels[:, :2].min() > 190


def test_a_turned_picture_has_the_size_that_is_seen(tmp_path):
    wide = np.zeros((8, 6, 3), np.uint8)
    members = {name: photograph(wide, 6) for name in numbered()}
    assert prepare(packed(tmp_path / "a.tar", members)).train_images.shape == (6, 6, 8, 3)
    members["train/dog/01.png"] = photograph(wide, 1)
    with pytest.raises(SuiteError, match=r"'train/dog/01\.png' has \(8, 6\) pixels, those before it \(6, 8\)"):
        prepare(packed(tmp_path / "b.tar", members))


def deep_png(color):
    """A PNG of 1x1 pixel with 16 bits a channel; `color` 0 is grey, 2 RGB, 6 RGBA."""
    channels = {0: 1, 2: 3, 6: 4}[color]
    header = struct.pack(">IIBBBBB", 1, 1, 16, color, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1 + 2 * channels))), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("color", [0, 2, 6])
def test_pictures_of_16_bits_are_refused_and_not_cut(color):
    assert np.asarray(Image.open(BytesIO(deep_png(color)))).shape[:2] == (1, 1)  # Pillow itself reads it
    with pytest.raises(SuiteError, match=r"^here has 16 bits a channel; convert it to 8 bits"):
        decode(deep_png(color), "here")


OTHER_FILES = {
    "a GIF": encode(solid(7), "GIF"),
    "a BMP": encode(solid(7), "BMP"),
    "a TIFF": encode(solid(7), "TIFF"),
    "a WebP": encode(solid(7), "WEBP"),
    "text": b"<html>not found</html>",
    "empty": b"",
    "damaged or something else": b"\0\1\2\3",
}


@pytest.mark.parametrize("kind", OTHER_FILES)
def test_what_else_a_file_is_called_by_its_name(kind):
    with pytest.raises(SuiteError) as caught:
        decode(OTHER_FILES[kind], "mine: 'a.jpg'")
    assert str(caught.value) == f"mine: 'a.jpg' is not a readable JPEG or PNG image ({kind}); convert it or take it out"


def test_a_zip_archive_is_called_one_and_not_to_be_deleted(tmp_path):
    with zipfile.ZipFile(tmp_path / "birds.zip", "w") as archive:
        for name, data in numbered().items():
            archive.writestr(name, data)
    with pytest.raises(SuiteError, match=r"birds\.zip: is a zip archive; unpack it and name the folder instead"):
        prepare(tmp_path / "birds.zip")


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
    assert not re.search(r"\n|BytesIO|delete", str(caught.value))


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
    monkeypatch.setattr("emlc.data.pictures.MAX_PIXELS", 63)
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
    source = packed(tmp_path / "i.tar", numbered() | {"train/dog/01.png": bytes(image)})
    try:
        assert prepare(source).train_images.shape == (6, 8, 8, 3)
    except SuiteError as error:
        assert not re.search(r"\n|BytesIO|delete", str(error))  # noqa: PT017


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
