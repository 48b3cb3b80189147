"""Pointer files: which bytes a dataset is made from, by checksum and size.

A ``.dvc`` file is DVC's and has an MD5. A ``.pin`` file is of the same form, with the SHA-256 by which others publish
their files, and DVC does not know it.
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from emlc.records.artefacts import file_digest
from emlc.records.errors import SuiteError

_MAX_BYTES = 2**16
_SUFFIXES = (".dvc", ".pin")
_DIGITS = {"md5": 32, "sha256": 64}


@dataclass(frozen=True)
class Pointer:
    """What a pointer file says.

    Attributes
    ----------
    file : Path
        The pointer file itself.
    target : Path
        The file it pins, in or below the pointer's folder.
    md5 : str
        Checksum of its bytes; of a ``.pin`` file empty.
    size : int
        Number of its bytes.
    source : str or None
        Where it comes from: a URL, or a path in the repository relative to the pointer's folder.
    sha256 : str
        Checksum of its bytes; of a ``.dvc`` file empty.
    """

    file: Path
    target: Path
    md5: str
    size: int
    source: str | None
    sha256: str = ""

    def __str__(self) -> str:
        return f"{self.target} ({self.size:,} bytes, {' '.join(self.checksum)})"

    @property
    def checksum(self) -> tuple[str, str]:
        """Algorithm and hexadecimal digits."""
        return ("sha256", self.sha256) if self.sha256 else ("md5", self.md5)

    @property
    def url(self) -> str | None:
        """The official URL, if there is one."""
        return self.source if self.source and is_url(self.source) else None

    @property
    def embedded(self) -> Path | None:
        """The file in the repository that this one is a copy of, if it is one."""
        return self.file.parent / self.source if self.source and not is_url(self.source) else None


def is_pointer(source: str) -> bool:
    """Whether a source is a pointer file rather than the data themselves."""
    return source.endswith(_SUFFIXES)


def is_url(text: str) -> bool:
    """Whether `text` is an HTTP address rather than a path."""
    return text.startswith(("http://", "https://"))


def read_pointer(file: Path) -> Pointer:
    """Read a ``.dvc`` file with one output (``dvc add`` or ``dvc import-url`` of a single file), or a ``.pin`` file.

    The source is its dependency, or, where DVC must not watch it, ``meta: {url: ...}``.

    Raises
    ------
    SuiteError
        If it is missing, no such pointer, or names a path outside its own folder.
    """
    content, algorithm = _read_yaml(file), "sha256" if file.suffix == ".pin" else "md5"
    try:
        (out,) = content["outs"]
        path, digest, size = out["path"], out[algorithm], out["size"]
        deps = content.get("deps") or [{"path": (content.get("meta") or {}).get("url")}]
        (source,) = (dep["path"] for dep in deps)
    except (AttributeError, KeyError, TypeError, ValueError):
        wanted = f"path, {algorithm} and size"
        raise SuiteError(f"{file} does not pin one file with {wanted}; restore it from git") from None
    digits = _DIGITS[algorithm]
    if not (isinstance(digest, str) and re.fullmatch(rf"[0-9a-f]{{{digits}}}", digest) and _is_size(size)):
        wanted = f"{algorithm} must be {digits} hexadecimal digits and size a number"
        raise SuiteError(f"{file}: {wanted}; folders cannot be pinned here")
    if source is not None and not (isinstance(source, str) and (is_url(source) or _is_inside(source))):
        raise SuiteError(f"{file}: source {source!r:.80} is neither an HTTP address nor a path in its folder")
    if not _is_inside(path):
        raise SuiteError(f"{file}: path {path!r:.80} leads out of its folder")
    return Pointer(file, file.parent / path, size=size, source=source, **{"md5": "", algorithm: digest})


def _is_size(size: Any) -> bool:
    return type(size) is int and size >= 0


def find_damage(path: Path, pointer: Pointer) -> str | None:
    """Return how `path`'s bytes differ from the pinned ones, or None where they do not.

    Raises
    ------
    SuiteError
        If `path` cannot be read.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise SuiteError(f"cannot read {path}: {error.strerror or error}") from error
    if size != pointer.size:
        return f"{size:,} bytes instead of {pointer.size:,}"
    algorithm, wanted = pointer.checksum
    found = file_digest(path, algorithm)
    return None if found == wanted else f"{algorithm} {found} instead of {wanted}"


def require_file(file: Path) -> Path:
    """Return the file that the pointer `file` pins, after verifying its bytes.

    Raises
    ------
    SuiteError
        If it is missing or damaged, saying how to get it.
    """
    pointer = read_pointer(file)
    if not pointer.target.exists():
        raise SuiteError(f"{pointer.target} is missing; run python -m pipelines.fetch {file}")
    if damage := find_damage(pointer.target, pointer):
        raise SuiteError(f"{pointer.target} is damaged: it has {damage}; {how_to_replace(pointer)}")
    return pointer.target


def how_to_replace(pointer: Pointer) -> str:
    """Return what to do about a file with other bytes than the pinned ones, which may be the user's only copy."""
    fetch = f"move it away and run python -m pipelines.fetch {pointer.file}"
    return fetch if pointer.source else f"{fetch}, or, if it is your own new version, dvc add {pointer.target}"


def _is_inside(path: Any) -> bool:
    if not isinstance(path, str) or not path or "\0" in path:
        return False
    return not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts


def _read_yaml(file: Path) -> Any:
    try:
        with file.open("rb") as handle:
            text = handle.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise ValueError(f"larger than {_MAX_BYTES} bytes")
        return yaml.safe_load(text.decode("utf-8"))
    except OSError as error:
        raise SuiteError(f"cannot read {file}: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SuiteError(f"{file} is not a readable .dvc file ({' '.join(str(error).split()):.120})") from error
