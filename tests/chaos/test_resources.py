"""Full disks, read-only folders, too little memory, clocks and data hosts that misbehave."""

import os
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import pytest

from emlc.records.record import read_record
from pipelines.fetching import download
from tests import loopback
from tests.chaos.children import clock_set_back, environment, file_size_limit, memory_limit, start, status
from tests.chaos.place import SEEDS, Place
from tests.fixtures import write_pointer
from tests.loopback import serve
from tests.stores import write_order


def whole_files(folder: Path) -> bool:
    """Whether nothing half-written lies about."""
    return not list(folder.rglob("*.part"))


def test_a_full_disk_in_every_step(place, same):
    """Files may not grow beyond 1 kB: each step ends in one line and leaves nothing half-written."""
    for step in place.steps():
        place.log.unlink(missing_ok=True)
        assert place.do(step, partial(file_size_limit, 1000)) == 2
        (*_, last) = place.told().splitlines()
        assert last.startswith("error: cannot write ")
        assert last.endswith("File too large")
        assert whole_files(place.folder)
        place.repair(step)
    same(place)


@pytest.fixture
def disk():
    """A file system of its own; skips where mounting it takes rights one does not have."""
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", "size=30m", "tmpfs", folder]
        if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("mounting a small file system takes root")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


def test_a_disk_that_fills_up_in_the_middle(disk, tmp_path, same):
    place = Place(disk / "place")
    place.log = tmp_path / "log"
    for seed in SEEDS:
        place.repair(place.inject(seed))
    place.repair(place.train("mslc"))
    done = {path: path.read_bytes() for path in place.records()}
    space = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes(space.f_bavail * space.f_frsize - 3 * 4096))
    assert place.do(place.train("mlnt")) == 2
    told = place.told().splitlines()
    assert told[-1].startswith("error: cannot write ")
    assert told[-1].endswith("No space left on device")
    assert whole_files(disk)
    assert {path: path.read_bytes() for path in done} == done
    (disk / "filler").unlink()
    same(place)
    assert {path: path.read_bytes() for path in done} == done


def test_a_read_only_results_folder(disk, tmp_path, same):
    place = Place(disk / "place")
    place.log = tmp_path / "log"
    place.repair(place.inject(0))
    write_order(place.inject(1).order)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert place.do(place.inject(1)) == 2
    assert place.told().startswith("error: cannot write ")
    assert place.told().endswith("Read-only file system\n")
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    same(place)


@pytest.mark.parametrize("more", [1 << 20, pytest.param(1 << 25, marks=pytest.mark.chaos)])
def test_too_little_memory(more, place, same):
    """``ulimit -v``: the run may fail or the process end, but never in a table that differs."""
    for seed in SEEDS:
        place.repair(place.inject(seed))
    step = place.train("mlnt")
    code = place.do(step, partial(memory_limit, more))
    for path in place.records():
        record = read_record(path)
        assert record["status"] == "completed" or "memory" in record["error"].lower()
        if record["status"] != "completed":
            shutil.rmtree(path.parent)
    assert code or place.records()
    same(place)


@pytest.mark.chaos
def test_a_clock_that_goes_backwards(place, same):
    for step in place.steps():
        assert place.do(step, clock_set_back) == 0
    same(place)


@pytest.mark.chaos
def test_files_from_the_future(place, same):
    place.finish()
    for path in place.folder.rglob("*"):
        os.utime(path, (2**32, 2**32))
    shutil.rmtree(place.record("mlnt", 0).parent)
    shutil.rmtree(place.table_order.folder)
    same(place)


@pytest.mark.parametrize(
    ("behaviour", "seconds"),
    [
        (loopback.half_then_reset, 20),
        pytest.param(loopback.status(404), 20, marks=pytest.mark.chaos),
        pytest.param(loopback.reset_at_once, 20, marks=pytest.mark.chaos),
        pytest.param(loopback.other_bytes, 20, marks=pytest.mark.chaos),
        pytest.param(loopback.endless, 20, marks=pytest.mark.chaos),
    ],
    ids=["resets half-way", "gone", "resets at once", "other bytes", "endless"],
)
def test_a_data_host_that_misbehaves(behaviour, seconds, place, same):
    """The file is not there afterwards, or it is the right one; once the host behaves, so does everything."""
    content = place.data.read_bytes()
    pointer = place.data.parent / "data.dvc"
    write_pointer(pointer, place.data, None)
    place.data.unlink()
    command = ("pipelines.fetch", [str(pointer)], place.log)
    with serve(content, behaviour) as host:
        child = start(*command, partial(quickly, host.url()))
        assert status(child, seconds) == 2
    assert "error: " in place.told().splitlines()[-1]
    assert not place.data.exists()
    with serve(content, loopback.whole) as host:
        assert status(start(*command, partial(quickly, host.url())), seconds) == 0
    assert place.data.read_bytes() == content
    same(place)


def quickly(mirror: str) -> None:
    """Ask a mirror, without the pauses between attempts."""
    environment(EMLC_MIRROR=mirror, no_proxy="127.0.0.1")
    download.time.sleep = lambda _: None
