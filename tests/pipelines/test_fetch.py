import os
import random
import shutil
import subprocess
import sys
import threading

import pytest

from emlc.records.errors import SuiteError
from pipelines import fetch
from pipelines.fetching import download
from tests import loopback
from tests.fixtures import ROOT, md5, write_pointer
from tests.loopback import serve

DATA = random.Random(1).randbytes(100_000)


@pytest.fixture(autouse=True)
def quick_and_alone(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("EMLC_MIRROR", raising=False)
    monkeypatch.setattr(download.time, "sleep", lambda _: None)


@pytest.fixture
def no_dvc(monkeypatch):
    """Spare the half second that asking DVC in vain takes."""

    def refuse(*_):
        raise SuiteError("no DVC here")

    monkeypatch.setattr(fetch, "_dvc_output", refuse)


@pytest.fixture
def pin(tmp_path):
    """Return a function that makes a pointer in ``work/`` to `DATA`, absent from there, and gives its path."""

    def make(source=None):
        file = tmp_path / "work" / "a.bin"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(DATA)
        write_pointer(file.with_name("a.dvc"), file, source)
        file.unlink()
        return file.with_name("a.dvc")

    return make


@pytest.fixture
def mirror(tmp_path):
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "a.bin").write_bytes(DATA)
    return folder


def left_over(pointer):
    """What a failed fetch leaves, besides the pointer and its lock."""
    return sorted(path.name for path in pointer.parent.iterdir() if path.suffix not in (".dvc", ".lock"))


def test_a_verified_file_is_left_alone(pin):
    pointer = pin()
    target = pointer.with_name("a.bin")
    target.write_bytes(DATA)
    before = target.stat().st_mtime_ns
    assert fetch.fetch(pointer) == target
    assert target.stat().st_mtime_ns == before
    assert left_over(pointer) == ["a.bin"]


@pytest.mark.parametrize("content", [DATA[:-1], DATA + b"x", bytes([DATA[0] ^ 1]) + DATA[1:], b""])
def test_a_damaged_file_is_refused_and_not_replaced(pin, mirror, content):
    pointer = pin()
    target = pointer.with_name("a.bin")
    target.write_bytes(content)
    with pytest.raises(
        SuiteError, match=r"a\.bin is damaged: it has .*; move it away and run python -m pipelines\.fetch .*a\.dvc"
    ):
        fetch.fetch(pointer, str(mirror))
    assert target.read_bytes() == content


def test_a_mirror_folder(pin, mirror, no_dvc):
    pointer = pin("http://127.0.0.1:1/a.bin")
    assert fetch.fetch(pointer, str(mirror)).read_bytes() == DATA
    assert left_over(pointer) == ["a.bin"]


def test_the_mirror_from_the_environment(pin, mirror, no_dvc, monkeypatch):
    monkeypatch.setenv("EMLC_MIRROR", str(mirror))
    assert fetch.fetch(pin()).read_bytes() == DATA


def test_a_mirror_url(pin, no_dvc):
    with serve(DATA, loopback.whole) as host:
        assert fetch.fetch(pin(), host.url("archives/")).read_bytes() == DATA
    assert host.paths == ["/archives/a.bin"]


def test_the_mirror_comes_before_the_official_source(pin, mirror, no_dvc):
    with serve(DATA, loopback.whole) as host:
        fetch.fetch(pin(host.url("a.bin")), str(mirror))
    assert host.paths == []


def test_the_official_source_comes_last(pin, mirror, no_dvc):
    (mirror / "a.bin").write_bytes(bytes(len(DATA)))
    with serve(DATA, loopback.half_then_reset, loopback.ignore_range) as host:
        assert fetch.fetch(pin(host.url("official/a.bin")), str(mirror)).read_bytes() == DATA
    assert host.paths == ["/official/a.bin"] * 2


def test_an_interrupted_download_is_continued_by_the_next_call(pin, no_dvc):
    with serve(DATA, loopback.half, loopback.status(404), loopback.whole) as host:
        pointer = pin(host.url("a.bin"))
        with pytest.raises(SuiteError, match="HTTP status 404"):
            fetch.fetch(pointer)
        assert left_over(pointer) == [".a.bin.part"]
        assert fetch.fetch(pointer).read_bytes() == DATA
    assert host.ranges[-1] == "bytes=50000-"
    assert left_over(pointer) == ["a.bin"]


@pytest.mark.parametrize("junk", [bytes(1000), bytes(len(DATA))])
def test_a_part_that_proves_wrong_is_downloaded_again(pin, no_dvc, junk):
    with serve(DATA, loopback.whole) as host:
        pointer = pin(host.url("a.bin"))
        pointer.with_name(".a.bin.part").write_bytes(junk)
        assert fetch.fetch(pointer).read_bytes() == DATA
    assert host.ranges[-1] is None


def test_other_bytes_are_refused_and_not_kept(pin, no_dvc):
    with serve(DATA, loopback.other_bytes) as host:
        pointer = pin(host.url("a.bin"))
        with pytest.raises(SuiteError, match=f"md5 {md5(bytes(len(DATA)))} instead of {md5(DATA)}; refused"):
            fetch.fetch(pointer)
    assert left_over(pointer) == []


@pytest.mark.parametrize("content", [None, b"short", bytes(len(DATA))])
def test_a_mirror_without_the_right_file_leaves_nothing(pin, mirror, no_dvc, content):
    (mirror / "a.bin").unlink()
    if content:
        (mirror / "a.bin").write_bytes(content)
    pointer = pin()
    with pytest.raises(SuiteError, match="no such file" if content is None else "other bytes"):
        fetch.fetch(pointer, str(mirror))
    assert left_over(pointer) == []


def test_the_error_names_the_file_every_attempt_and_three_ways(pin, mirror, no_dvc):
    (mirror / "a.bin").unlink()
    pointer = pin("http://127.0.0.1:1/official/a.bin")
    with pytest.raises(SuiteError) as caught:
        fetch.fetch(pointer, str(mirror))
    message = str(caught.value)
    for part in (
        f"{pointer.with_name('a.bin')} (100,000 bytes, md5 {md5(DATA)})",
        "DVC cache: no DVC here",
        "DVC remote: no DVC here",
        f"mirror {mirror}: no such file",
        "http://127.0.0.1:1/official/a.bin: cannot connect",
        f"put the file at {pointer.with_name('a.bin')}",
        "--mirror or EMLC_MIRROR",
        "dvc remote add",
    ):
        assert part in message
    assert "\n" not in message


def test_two_at_once_download_once(pin, no_dvc):
    with serve(DATA, loopback.whole) as host:
        pointer = pin(host.url("a.bin"))
        threads = [threading.Thread(target=fetch.fetch, args=(pointer,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert host.paths == ["/a.bin"]
    assert pointer.with_name("a.bin").read_bytes() == DATA


@pytest.fixture
def embedded(tmp_path):
    (tmp_path / "embedded").mkdir()
    shutil.copy(ROOT / "embedded" / "digits.npz", tmp_path / "embedded")
    return shutil.copy(ROOT / "data.dvc", tmp_path)


def test_the_digits_are_copied_without_asking_dvc(tmp_path, embedded, no_dvc):
    assert (
        fetch.fetch(embedded if not isinstance(embedded, str) else tmp_path / "data.dvc")
        == tmp_path / "data" / "digits.npz"
    )
    assert (tmp_path / "data" / "digits.npz").read_bytes() == (ROOT / "embedded" / "digits.npz").read_bytes()


def test_damaged_digits_are_refused(tmp_path, embedded):
    with (tmp_path / "embedded" / "digits.npz").open("r+b") as file:
        file.seek(5000)
        file.write(b"\xff")
    with pytest.raises(SuiteError, match=r"embedded/digits\.npz: it has other bytes: md5"):
        fetch.fetch(tmp_path / "data.dvc")
    assert not (tmp_path / "data" / "digits.npz").exists()


def dvc(folder, *arguments):
    command = [sys.executable, "-m", "dvc", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=os.environ | {"DVC_NO_ANALYTICS": "1"})


def drop(folder):
    """Forget the file, as a fresh clone would."""
    (folder / "a.bin").unlink()


def test_the_dvc_cache_then_the_remote(pin, tmp_path):
    pointer = pin("http://127.0.0.1:1/a.bin")
    work, target = pointer.parent, pointer.with_name("a.bin")
    dvc(work, "init", "--no-scm")
    target.write_bytes(DATA)
    dvc(work, "commit", "--force", "a.dvc")
    drop(work)
    assert fetch.fetch(pointer).read_bytes() == DATA  # from the cache

    dvc(work, "remote", "add", "--default", "shelf", str(tmp_path / "shelf"))
    dvc(work, "push", "a.dvc")
    shutil.rmtree(work / ".dvc" / "cache")
    drop(work)
    assert fetch.fetch(pointer).read_bytes() == DATA  # from the remote

    shutil.rmtree(work / ".dvc" / "cache")
    shutil.rmtree(tmp_path / "shelf")
    drop(work)
    with pytest.raises(
        SuiteError, match=r"DVC cache: not there; DVC remote: .*; http://127\.0\.0\.1:1/a\.bin: cannot connect"
    ):
        fetch.fetch(pointer)


def test_a_damaged_dvc_cache_is_refused(pin):
    pointer = pin()
    dvc(pointer.parent, "init", "--no-scm")
    pointer.with_name("a.bin").write_bytes(DATA)
    dvc(pointer.parent, "commit", "--force", "a.dvc")
    drop(pointer.parent)
    (cached,) = (path for path in (pointer.parent / ".dvc" / "cache").rglob("*") if path.is_file())
    cached.chmod(0o644)
    cached.write_bytes(bytes(len(DATA)))
    with pytest.raises(SuiteError, match=r"DVC cache: .*; DVC remote: none configured\. Provide"):
        fetch.fetch(pointer)
    assert not pointer.with_name("a.bin").exists()


def test_command_line(pin, mirror):
    pointer = pin()
    command = [sys.executable, "-m", "pipelines.fetch", str(pointer), "--mirror"]
    done = subprocess.run([*command, str(mirror)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert pointer.with_name("a.bin").read_bytes() == DATA
    pointer.with_name("a.bin").write_bytes(b"x")
    done = subprocess.run([*command, str(mirror)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
