import numpy as np
import pytest
from PIL import Image

from emlc.data.folder_listing import list_folders
from emlc.data.image_files import Files, check_there
from emlc.data.listing import load_listing, save_listing
from emlc.records.errors import SuiteError
from emlc.tasks.draw import TaskSpec, make_task
from emlc.tasks.listed import make_task_from_listing

COUNTS = {"train": 6, "validation": 2, "test": 3}
SPEC = TaskSpec(
    dataset="small",
    data_sha256="ab" * 32,
    kind="sym",
    rate=0.5,
    sampling="per-label",
    split="balanced",
    clean_per_class=2,
    validation_per_class=1,
)


@pytest.fixture
def root(tmp_path):
    for part, count in COUNTS.items():
        for name in ("dress", "hat", "shoes"):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (9, 7)).save(tmp_path / part / name / f"{number:05}.jpg")
    (tmp_path / "README.txt").write_text("three classes")
    (tmp_path / "train" / "hat" / "notes.txt").write_text("no image")
    return tmp_path


def test_images_are_listed_class_by_class(root):
    listing = list_folders(root)
    assert listing.class_names == ("dress", "hat", "shoes")
    assert listing.train_keys[[0, 6, 17, 18, 23]].tolist() == [
        b"train/dress/00000.jpg",
        b"train/hat/00000.jpg",
        b"train/shoes/00005.jpg",
        b"validation/dress/00000.jpg",
        b"validation/shoes/00001.jpg",
    ]
    folders = [key.split(b"/")[1].decode() for key in (*listing.train_keys, *listing.test_keys)]
    assert folders == [listing.class_names[label] for label in (*listing.train_labels, *listing.test_labels)]
    assert (len(listing.train_keys), len(listing.test_keys)) == (24, 9)
    check_there(Files(root, listing.train_keys))


def test_without_a_validation_folder(root):
    (root / "validation").rename(root / "other")
    assert len(list_folders(root).train_keys) == 18


def test_tasks_are_drawn_of_it(root):
    listing = list_folders(root)
    task = make_task(listing, SPEC, None, 0)
    assert (len(task.clean_indices), len(task.validation_indices), len(task.noisy_indices)) == (6, 3, 15)
    assert np.array_equal(task.true_labels, listing.train_labels[task.noisy_indices])
    with pytest.raises(SuiteError, match="small brings no split along; its tasks are drawn"):
        make_task_from_listing(listing, SPEC, 0)


def test_noise_that_looks_at_pixels_is_refused(root):
    spec = TaskSpec(**{**vars(SPEC), "kind": "idn-part-dependent"})
    with pytest.raises(SuiteError, match="looks at pixels, and the images of small stay on disk"):
        make_task(list_folders(root), spec, None, 0)


def test_round_trip(root, tmp_path):
    listing = list_folders(root)
    save_listing(tmp_path / "a.npz", listing, "small")
    loaded, _ = load_listing(tmp_path / "a.npz")
    assert loaded.split is None
    assert np.array_equal(loaded.train_keys, listing.train_keys)
    assert np.array_equal(loaded.train_labels, listing.train_labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "train").rename(root / "trial"), "has 0 class folders"),
        (lambda root: (root / "test" / "hat").rename(root / "test" / "cap"), "test have different .* 'cap' is only in"),
        (lambda root: (root / "validation" / "tie").mkdir(), "validation have different .* 'tie' is only in one"),
        (lambda root: (root / "test").rename(root / "trial"), "test have different class folders"),
        (
            lambda root: [path.unlink() for path in (root / "test" / "hat").iterdir()],
            "class 'test/hat' has no image",
        ),
    ],
)
def test_other_folders_are_refused_in_one_line(root, change, message):
    change(root)
    with pytest.raises(SuiteError, match=message) as refusal:
        list_folders(root)
    assert "\n" not in str(refusal.value)
