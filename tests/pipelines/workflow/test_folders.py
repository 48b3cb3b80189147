"""Whatever changes in a folder of images changes its digest, and nothing else does."""

import os
import shutil

import pytest

from pipelines.workflow.folders import listing_digest


@pytest.fixture
def birds(tmp_path):
    for name in ("train/crow/5.jpg", "train/owl/6.jpg", "test/owl/1.jpg"):
        (tmp_path / "birds" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "birds" / name).write_text(name)
    return tmp_path / "birds"


def replace(birds):
    """By a file of the same size, and later by a second."""
    file = birds / "train" / "crow" / "5.jpg"
    before = file.stat().st_mtime_ns
    file.write_text("train/crow/6.jpg")
    os.utime(file, ns=(before, before + 10**9))


CHANGES = {
    "replaced": replace,
    "added": lambda birds: (birds / "train" / "crow" / "7.jpg").touch(),
    "removed": lambda birds: (birds / "train" / "crow" / "5.jpg").unlink(),
    "of another class": lambda birds: (birds / "train" / "crow" / "5.jpg").rename(birds / "train" / "owl" / "5.jpg"),
    "of another name, not UTF-8": lambda birds: (birds / "test/owl/1.jpg").rename(birds / "test/owl/\udcff.jpg"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_shows(birds, change):
    before = listing_digest(birds)
    CHANGES[change](birds)
    assert listing_digest(birds) != before


def test_a_copy_and_a_second_look_show_nothing(birds, tmp_path):
    (birds / "gone.jpg").symlink_to("nowhere")
    before = listing_digest(birds)
    (birds / "train" / "crow" / "5.jpg").read_bytes()
    assert listing_digest(birds) == before
    assert listing_digest(shutil.copytree(birds, tmp_path / "copy", symlinks=True)) == before


def test_a_file_has_its_own_time_of_change(tmp_path):
    (tmp_path / "birds.tar").touch()
    assert listing_digest(tmp_path / "birds.tar") is listing_digest(tmp_path / "none") is None
