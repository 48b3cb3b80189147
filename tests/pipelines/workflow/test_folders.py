"""Whatever changes in a folder of images changes its digest, and nothing else does."""

import os
import shutil

import pytest

from emlc.records.errors import SuiteError
from pipelines.workflow import folders
from pipelines.workflow.folders import content_digest


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "CACHE", tmp_path / "cache")


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
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_shows(birds, change):
    before = content_digest(birds)
    CHANGES[change](birds)
    assert content_digest(birds) != before


def test_copies_times_and_places_do_not_matter(birds, tmp_path):
    before = content_digest(birds)
    copy = shutil.copytree(birds, tmp_path / "elsewhere" / "copy", copy_function=shutil.copyfile)
    assert content_digest(copy) == before
    (tmp_path / "link").symlink_to(birds)
    assert content_digest(tmp_path / "link") == before


def test_a_folder_is_read_once_as_long_as_nothing_in_it_changes(birds, monkeypatch):
    before = content_digest(birds)
    monkeypatch.setattr(folders, "file_digest", None)
    assert content_digest(birds) == before


def test_a_file_is_its_content_and_nothing_is_refused(birds, tmp_path):
    (tmp_path / "birds.tar").write_bytes(b"one")
    one = content_digest(tmp_path / "birds.tar")
    (tmp_path / "birds.tar").write_bytes(b"two")
    assert content_digest(tmp_path / "birds.tar") != one
    with pytest.raises(SuiteError, match=r"gone does not exist; it is configured as the source of a dataset"):
        content_digest(tmp_path / "gone")
