"""Reading tar archives in memory: nothing is extracted, so nothing can land outside a folder."""

import bz2
import gzip
import importlib
import lzma
import tarfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from emlc.data.unreadable import unreadable
from emlc.records.errors import SuiteError

MAX_MEMBER_BYTES = 2**28
"""Largest file read from an archive (CIFAR-100's ``train``, the largest needed here, has 2**27.2)."""

MAX_ARCHIVE_BYTES = 2**33
"""Largest archive after decompression."""

_BLOCK = 512
_MAX_NAME = 255
_ZIP = b"PK"
_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}

Entry = tuple[PurePosixPath, bytes | None]
"""A member's path and content; a folder's content is None."""


def read_archive(path: Path, max_bytes: int = MAX_ARCHIVE_BYTES) -> Iterator[Entry]:
    """Yield every folder and file of a tar archive (plain, gzip, bzip2, xz; zstd from Python 3.14), in its order.

    Raises
    ------
    SuiteError
        If the archive is missing, truncated or not a tar; if it is larger than `max_bytes` when decompressed; if a
        member is a link, a device, larger than :data:`MAX_MEMBER_BYTES`, there twice, or has a path that leads out of
        the folder an extraction would use.
    """
    try:
        with _decompressed(path) as stream:
            bounded = _Bounded(stream, max_bytes)
            with tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r:") as archive:
                yield from _entries(archive)
                bounded.check_end(archive.offset)
    except SuiteError as error:
        raise SuiteError(f"{path}: {error}") from error
    except Exception as error:  # hostile bytes make the decompressors and tarfile fail in many ways
        raise unreadable(path, "tar archive", error) from error


def checked_path(name: str) -> PurePosixPath:
    """Return a member's name as a relative path.

    Raises
    ------
    SuiteError
        If the name is absolute, climbs with ``..``, or is longer than file systems allow.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise SuiteError(f"member {name!r:.300} leads out of the archive's folder; do not use this archive")
    if any(len(part) > _MAX_NAME for part in path.parts):
        raise SuiteError(f"member {name!r:.80}... has a name longer than {_MAX_NAME} characters")
    return path


def _entries(archive: tarfile.TarFile) -> Iterator[Entry]:
    seen: set[PurePosixPath] = set()
    for member in archive:
        path = checked_path(member.name)
        if member.isdir():
            yield path, None
            continue
        if not member.isreg():
            raise SuiteError(
                f"member {member.name!r} is a link or a device, not a file; pack what links lead to (tar --dereference)"
            )
        if member.size > MAX_MEMBER_BYTES:
            raise SuiteError(f"member {member.name!r} has {member.size:,} bytes, the limit is {MAX_MEMBER_BYTES:,}")
        if path in seen:
            raise SuiteError(f"member {member.name!r} is there twice")
        seen.add(path)
        content = archive.extractfile(member)
        yield path, content.read() if content else b""


class _Bounded:
    """A decompressed stream that refuses to be read past a limit, whatever sizes the archive's headers claim."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._limit = limit

    def read(self, size: int) -> bytes:
        if size > MAX_MEMBER_BYTES + _BLOCK:
            raise SuiteError(
                f"a header claims {size:,} bytes, the limit is {MAX_MEMBER_BYTES:,}; do not use this archive"
            )
        data = self._stream.read(size)
        self._check(self._stream.tell())
        return data

    def seek(self, position: int) -> int:
        self._check(position)
        return self._stream.seek(position)

    def tell(self) -> int:
        return self._stream.tell()

    def check_end(self, offset: int) -> None:
        """Check the end-of-archive block, which tarfile does not insist on, and the compression's own checksum."""
        self.seek(offset)
        if self.read(_BLOCK) != bytes(_BLOCK):
            raise SuiteError("the archive ends in the middle or is damaged; put a whole one in its place")
        while self.read(2**20):
            pass

    def _check(self, position: int) -> None:
        if position > self._limit:
            raise SuiteError(f"has more than {self._limit:,} bytes when decompressed, the limit")


def _decompressed(path: Path) -> AbstractContextManager[IO[bytes]]:
    with path.open("rb") as handle:
        start = handle.read(8)
    if start.startswith(_ZIP):
        raise SuiteError("is a zip archive; unpack it and name the folder instead, or pack the folder with tar")
    kind = next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "plain")
    if kind == "zstd":
        return _zstd(path)
    opener: Any = {"gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open, "plain": open}[kind]
    return cast(AbstractContextManager[IO[bytes]], opener(path, "rb"))


def _zstd(path: Path) -> AbstractContextManager[IO[bytes]]:
    try:
        module: Any = importlib.import_module("compression.zstd")
    except ImportError:
        raise SuiteError("zstd archives need Python 3.14; unpack it and name the folder instead") from None
    return cast(AbstractContextManager[IO[bytes]], module.open(path, "rb"))
