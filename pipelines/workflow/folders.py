"""What lies in files and folders of the user's own, by content."""

import os
from pathlib import Path

from tqdm import tqdm

from emlc.records.artefacts import canonical_json, file_digest, read_json, sha256_bytes, write_json
from emlc.records.errors import SuiteError
from pipelines.profile.places import ROOT

CACHE = ROOT / ".cache" / "folders"
"""Contents by listing, so that a folder is read once as long as no size or time of change in it differs."""


def content_digest(source: Path) -> str:
    """Return the SHA-256 of a file, or that over path and content of all files in a folder, links followed.

    Raises
    ------
    SuiteError
        If there is no such file or folder, or it cannot be read.
    """
    if not source.exists():
        raise SuiteError(f"{source} does not exist; it is configured as the source of a dataset")
    return file_digest(source, "sha256") if source.is_file() else files_digest(source, _files(source))


def files_digest(source: Path, files: list[Path]) -> str:
    """Return the SHA-256 over path and content of some files in a folder.

    Raises
    ------
    SuiteError
        If one cannot be read.
    """
    known = CACHE / f"{_listing(source, files)}.json"
    if known.exists():
        return read_json(known)["sha256"]
    digests = [file_digest(path, "sha256") for path in tqdm(files, desc=f"checksums of {source}", disable=None)]
    names = [path.relative_to(source).as_posix() for path in files]
    digest = sha256_bytes(canonical_json(list(zip(names, digests, strict=True))).encode())
    write_json(known, {"sha256": digest})
    return digest


def _files(source: Path) -> list[Path]:
    found = [Path(top) / name for top, _, names in os.walk(source, followlinks=True) for name in names]
    return sorted(path for path in found if path.is_file())


def _listing(source: Path, files: list[Path]) -> str:
    facts = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return sha256_bytes(repr((str(source.resolve()), facts)).encode())
