import shutil
from pathlib import Path

import numpy as np
import pytest

from emlc.data.key_lists import CLASS_NAMES, image_root, read_key_lists, without_prefix
from emlc.records.errors import SuiteError
from tests.emlc.data.small_clothing1m import key_of, write_clothing1m


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clothing1m")
    write_clothing1m(folder)
    return folder


@pytest.fixture
def copy(original, tmp_path):
    """The lists and label files alone, to be changed."""
    for path in original.glob("*.txt"):
        shutil.copy(path, tmp_path)
    return tmp_path


def written_labels(path: Path):
    """Key -> label, read another way: names have one space at most, before the label."""
    pairs = (line.split(" ") for line in path.read_text().splitlines())
    return {key: int(label) for key, label in pairs}


def test_the_lists_say_which_images_a_set_has(original):
    listing = read_key_lists(original)
    split = listing.split
    assert (len(split.noisy), len(split.clean), len(split.validation), len(listing.test_keys)) == (120, 42, 28, 14)
    for name, indices in [
        ("noisy_train", split.noisy),
        ("clean_train", split.clean),
        ("clean_val", split.validation),
    ]:
        keys = [key_of(name, position).encode() for position in range(len(indices))]
        assert listing.train_keys[indices].tolist() == keys
        label_of = written_labels(original / f"{name.split('_')[0]}_label_kv.txt")
        assert listing.train_labels[indices].tolist() == [label_of[key.decode()] for key in keys]
    clean_of = written_labels(original / "clean_label_kv.txt")
    assert listing.test_labels.tolist() == [clean_of[key.decode()] for key in listing.test_keys]
    everything = np.concatenate([split.noisy, split.clean, split.validation])
    assert np.array_equal(everything, np.arange(190))
    assert listing.class_names == CLASS_NAMES
    assert listing.num_classes == 14


def test_images_with_both_labels_count_the_noise(original):
    noisy_of, clean_of = (written_labels(original / f"{name}_label_kv.txt") for name in ("noisy", "clean"))
    expected = np.zeros((14, 14), int)
    for key in noisy_of.keys() & clean_of.keys():
        expected[clean_of[key], noisy_of[key]] += 1
    listing = read_key_lists(original)
    np.testing.assert_array_equal(listing.confusion, expected)
    assert 0 < np.trace(expected) < expected.sum() == 42


def test_a_copy_of_another_size_is_said_to_be_one(original):
    (note,) = read_key_lists(original).notes
    assert note.startswith("not all of Clothing1M: 120 + 42 + 28 + 14 images instead of 1,000,000 + 47,570 + 14,313")


def test_lists_may_lie_in_annotations(original, copy, tmp_path):
    (copy / "annotations").mkdir()
    for path in copy.glob("*.txt"):
        path.rename(copy / "annotations" / path.name)
    assert np.array_equal(read_key_lists(copy).train_labels, read_key_lists(original).train_labels)


def test_lines_of_windows_and_blank_ones_are_lines(original, copy):
    for path in copy.glob("*.txt"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert np.array_equal(read_key_lists(copy).train_keys, read_key_lists(original).train_keys)


def test_image_folders_may_lie_with_and_without_images(original, tmp_path):
    keys = read_key_lists(original).train_keys
    assert all((image_root(original) / key.decode()).is_file() for key in without_prefix(keys))
    for folder in (original / "images").iterdir():
        (tmp_path / folder.name).symlink_to(folder)
    assert image_root(tmp_path) == tmp_path
    assert all((image_root(tmp_path) / key.decode()).is_file() for key in without_prefix(keys))


def test_no_images_at_all_are_one_line(tmp_path):
    with pytest.raises(SuiteError, match=r"has no images: neither images/0 to images/9 \(unpack 0\.tar"):
        image_root(tmp_path)


def test_everything_that_is_missing_is_named(copy):
    (copy / "clean_label_kv.txt").unlink()
    (copy / "noisy_train_key_list.txt").unlink()
    with pytest.raises(SuiteError) as refusal:
        read_key_lists(copy)
    assert "it has no noisy_train_key_list.txt, clean_label_kv.txt; ask its authors" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    with pytest.raises(SuiteError, match="none is no copy of Clothing1M"):
        read_key_lists(copy / "none")


FIRST = key_of("clean_val", 0)


@pytest.mark.parametrize(
    ("file", "edit", "message"),
    [
        ("clean_val_key_list.txt", lambda text: text + "images/1/2/new.jpg\n", "new.jpg' of clean_val.* has no label"),
        ("clean_val_key_list.txt", lambda text: text + f"{FIRST}\n", "listed twice: in clean_val.* and in clean_val"),
        ("clean_test_key_list.txt", lambda text: text + f"{FIRST}\n", "listed twice: in clean_val.* and in clean_test"),
        ("clean_val_key_list.txt", lambda _: "", "lists no image"),
        ("clean_val_key_list.txt", lambda text: "1/2/a.jpg\n" + text, "line 1: '1/2/a.jpg' is not the key"),
        ("clean_val_key_list.txt", lambda text: text + "images/../../a.jpg\n", "line 29: .* is not the key"),
        ("clean_label_kv.txt", lambda text: text.replace(" ", ","), "line 1: .* is not a key, a space and a class"),
        ("clean_label_kv.txt", lambda text: f"{FIRST} 14\n" + text, "line 1: .* a class from 0 to 13"),
        ("clean_label_kv.txt", lambda text: f"{FIRST} -1\n" + text, "line 1: .* a class from 0 to 13"),
        (
            "noisy_label_kv.txt",
            lambda text: "".join(line for line in text.splitlines(True) if ",30000000" in line),
            "no image is in both",
        ),
    ],
)
def test_other_content_is_refused_in_one_line(copy, file, edit, message):
    (copy / file).write_text(edit((copy / file).read_text()))
    if file == "noisy_label_kv.txt":
        keep_labels_of_the_noisy_list(copy)
    with pytest.raises(SuiteError, match=message) as refusal:
        read_key_lists(copy)
    assert "\n" not in str(refusal.value)


def keep_labels_of_the_noisy_list(copy):
    keys = (copy / "noisy_train_key_list.txt").read_text().split()
    (copy / "noisy_label_kv.txt").write_text("".join(f"{key} 3\n" for key in keys))
