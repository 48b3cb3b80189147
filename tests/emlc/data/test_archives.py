import gzip
import io
import sys
import tarfile
from contextlib import suppress
from pathlib import PurePosixPath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emlc.data import archives
from emlc.data.archives import read_archive
from emlc.records.errors import SuiteError
from tests.fixtures import write_tar

MEMBERS = {"train": None, "train/a.txt": b"first" * 300, "./b.txt": b"second"}
EXPECTED = [
    (PurePosixPath("train"), None),
    (PurePosixPath("train/a.txt"), b"first" * 300),
    (PurePosixPath("b.txt"), b"second"),
]


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_every_compression_reads_the_same(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    write_tar(path, MEMBERS)
    assert list(read_archive(path)) == EXPECTED


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="Python 3.14 reads zstd")
def test_zstd_says_what_it_needs(tmp_path):
    path = tmp_path / "a.tar.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    with pytest.raises(SuiteError, match=r"zstd archives need Python 3\.14"):
        list(read_archive(path))


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "train/../../evil", "a\\..\\evil"])
def test_a_path_that_escapes_is_refused(tmp_path, name):
    path = tmp_path / "sub" / "a.tar"
    path.parent.mkdir()
    write_tar(path, {"fine.txt": b"x", name: b"evil"})
    with pytest.raises(SuiteError, match="leads out of the archive's folder"):
        list(read_archive(path))
    assert [found.name for found in tmp_path.rglob("*") if found.is_file()] == ["a.tar"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("train/link")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(SuiteError, match="'train/link' is a link or a device"):
        list(read_archive(path))


def test_a_member_that_is_there_twice_is_refused(tmp_path):
    path = tmp_path / "a.tar"
    write_tar(path, {"a.txt": b"x", "./a.txt": b"y"})
    with pytest.raises(SuiteError, match="is there twice"):
        list(read_archive(path))


def test_a_decompression_bomb_is_refused(tmp_path):
    path = tmp_path / "a.tar.gz"
    write_tar(path, {f"{i}.txt": bytes(10**6) for i in range(10)})
    assert path.stat().st_size < 20_000
    with pytest.raises(SuiteError, match="more than 5,000,000 bytes when decompressed"):
        list(read_archive(path, max_bytes=5_000_000))


def test_a_member_larger_than_the_limit_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.tar"
    write_tar(path, {"a.txt": bytes(2000)})
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 1999)
    with pytest.raises(SuiteError, match=r"'a\.txt' has 2,000 bytes, the limit is 1,999"):
        list(read_archive(path))


def test_an_extended_header_cannot_claim_more_than_a_member_may(tmp_path):
    path = tmp_path / "a.tar"
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 2**32
    path.write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(SuiteError, match=r"a header claims 4,294,967,296 bytes"):
        list(read_archive(path))


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.3, 0.6, 0.9])
def test_a_half_downloaded_archive_is_refused(tmp_path, suffix, keep):
    whole, half = tmp_path / f"whole.{suffix}", tmp_path / f"half.{suffix}"
    write_tar(whole, {f"{i}.txt": bytes(range(256)) * 4 for i in range(100)})
    content = whole.read_bytes()
    end_of_members = 100 * (512 + 1024) if suffix == "tar" else len(content)
    half.write_bytes(content[: int(keep * end_of_members)])
    with pytest.raises(SuiteError, match=str(half)) as caught:
        list(read_archive(half))
    assert "\n" not in str(caught.value)


def test_an_archive_cut_between_two_members_is_refused(tmp_path):
    path = tmp_path / "a.tar"
    write_tar(path, {"a.txt": b"x" * 512, "b.txt": b"y" * 512})
    path.write_bytes(path.read_bytes()[:1024])
    with pytest.raises(SuiteError, match="ends in the middle"):
        list(read_archive(path))


def test_a_flipped_bit_in_a_compressed_archive_is_noticed_after_the_last_member(tmp_path):
    path = tmp_path / "a.tar.gz"
    write_tar(path, MEMBERS)
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # gzip's CRC
    path.write_bytes(content)
    with pytest.raises(SuiteError, match="CRC check failed"):
        list(read_archive(path))


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"<html>404</html>" * 100, gzip.compress(b"not a tar" * 100, mtime=0)]
)
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)
    with pytest.raises(SuiteError, match=r"is not a readable tar archive .*; put a whole one in its place$"):
        list(read_archive(path))


def test_a_missing_archive_is_one_line(tmp_path):
    with pytest.raises(SuiteError, match=r"a\.tar does not exist$"):
        list(read_archive(tmp_path / "a.tar"))


@pytest.fixture(scope="module")
def whole() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("train/a.txt", "train/grün/b.txt", "x" * 120 + "/c.txt"):
            info = tarfile.TarInfo(name)
            info.size = 5
            archive.addfile(info, io.BytesIO(b"12345"))
    return buffer.getvalue()


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_archives_are_read_or_refused(tmp_path, whole, data):
    mutated = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "a.tar"
    path.unlink(missing_ok=True)  # file systems flush a file that is written over: milliseconds
    path.write_bytes(mutated)
    with suppress(SuiteError):
        members = list(read_archive(path))
        assert all(not member.is_absolute() and ".." not in member.parts for member, _ in members)
    assert [found.name for found in tmp_path.iterdir()] == ["a.tar"]
