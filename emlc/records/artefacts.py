"""Reading and writing files that later stages trust: atomic, checksummed, one clear line when broken."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emlc.records.errors import SuiteError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` and move it into place on success.

    Readers see the old file or the whole new one, never a part; on an exception nothing is left behind.

    Parameters
    ----------
    path : Path
        The file to write; parent folders are made.

    Yields
    ------
    Path
        Where to write instead.

    Raises
    ------
    SuiteError
        If the folder cannot be written or the disk is full.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o644)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        raise SuiteError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def canonical_json(value: Any) -> str:
    """Return the one JSON text of `value`: sorted keys, no NaN, no spaces that vary."""
    return json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, atomically."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    SuiteError
        If the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SuiteError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise SuiteError(f"{path} is not valid JSON ({error}); delete it and run again") from error


def sha256_bytes(*parts: bytes) -> str:
    """Return the hexadecimal SHA-256 of the concatenated `parts`."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def file_digest(path: Path, algorithm: str) -> str:
    """Return the hexadecimal digest of a file's bytes (`algorithm` as in :mod:`hashlib`)."""
    try:
        with Path(path).open("rb") as handle:
            return hashlib.file_digest(handle, algorithm).hexdigest()
    except OSError as error:
        raise SuiteError(f"cannot read {path}: {error.strerror or error}") from error
