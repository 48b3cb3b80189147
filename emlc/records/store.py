"""The store of finished artefacts: each lies under the checksum of all that decides it, sealed, whole or absent.

An artefact is a folder ``results/store/<kind>/<id>`` (a run: ``results/runs/<id>``) with its files and ``seal.json``:
its identity, and the SHA-256 of every file. Its id is the SHA-256 of its identity, which names the artefacts it was
made from by their ids; so what lies there is what the identity asks for, whoever made it, for which profile and when.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from emlc.records.artefacts import canonical_json, file_digest, read_json, sha256_bytes, write_json
from emlc.records.errors import SuiteError

SCHEMA = "emlc.seal/1"
SEAL = "seal.json"
RUNS = "runs"
"""The kind whose folder users look into; it lies in sight."""

LATENCY = "EMLC_LATENCY"
"""The variable that holds the seconds by which a shared file system may be late; none unless a workflow sets it."""


def identifier(kind: str, identity: Mapping[str, Any]) -> str:
    """Return the id of what an identity asks for: 20 hexadecimal digits."""
    return sha256_bytes(canonical_json({"kind": kind, "identity": identity}).encode())[:20]


@dataclass(frozen=True)
class Order:
    """What to make: an artefact, by everything that decides it.

    Attributes
    ----------
    kind : str
        Of artefact, e.g. ``tasks``.
    identity : mapping
        All that decides the bytes, as JSON values.
    about : mapping
        What people call it, and paths; decides nothing.
    results : Path
        The folder of results that it belongs to.
    """

    kind: str
    identity: Mapping[str, Any]
    about: Mapping[str, Any]
    results: Path = Path("results")

    @cached_property
    def id(self) -> str:
        """Its id."""
        return identifier(self.kind, self.identity)

    @property
    def file(self) -> Path:
        """Where the order itself lies as a document."""
        return self.results / "orders" / self.kind / f"{self.id}.json"

    @property
    def folder(self) -> Path:
        """Where the artefact lies."""
        return place(self.results, self.kind, self.id)

    @property
    def document(self) -> dict[str, Any]:
        """The order as JSON values."""
        return {"kind": self.kind, "identity": self.identity, "about": self.about}

    def beside(self, kind: str, identifier: str) -> Path:
        """Return the folder of another artefact of the same results, to read from.

        One that another machine has just made may be seen late here; :data:`LATENCY` says how long to wait for it.

        Raises
        ------
        SuiteError
            If it is not there, not whole or not unchanged.
        """
        folder = place(self.results, kind, identifier)
        _wait_for(folder / SEAL, float(os.environ.get(LATENCY, 0)))
        if wrong := complaint(folder, identifier):
            raise SuiteError(f"{wrong}; delete {folder} and start the workflow again")
        return folder


def place(results: Path, kind: str, identifier: str) -> Path:
    """Return the folder of an artefact."""
    return results / kind / identifier if kind == RUNS else results / "store" / kind / identifier


def _wait_for(seal: Path, seconds: float) -> None:
    limit = time.monotonic() + seconds
    while not seal.exists() and time.monotonic() < limit:
        time.sleep(0.1)


def read_order(path: Path) -> Order:
    """Read an order that a workflow or a person wrote to ``<results>/orders/<kind>/<id>.json``.

    Raises
    ------
    SuiteError
        If the file cannot be read, is no order, or not the one that its name says.
    """
    document = read_json(path)
    if not isinstance(document, dict) or not {"kind", "identity", "about"} <= set(document):
        raise SuiteError(f"{path} is no order; python -m pipelines.plan --orders writes them")
    names = {name: document[name] for name in ("kind", "identity", "about")}
    order = Order(**names, results=path.parent.parent.parent)
    if order.id != path.stem:
        raise SuiteError(f"{path} was edited: it asks for {order.kind} {order.id}; write it again")
    return order


def sound(order: Order) -> bool:
    """Whether the artefact is there, whole, unchanged, and the one that is asked for."""
    return complaint(order.folder, order.id) is None


def complaint(folder: Path, wanted: str) -> str | None:
    """Return what is wrong with the artefact that a folder should hold by its id, None if nothing is."""
    if not (folder / SEAL).exists():
        return f"{folder} is not there, or not whole"
    try:
        seal = read_json(folder / SEAL)
        if not _is_seal_of(seal, wanted):
            return f"{folder} holds something else"
        for name, digest in seal["files"].items():
            if file_digest(folder / name, "sha256") != digest:
                return f"{folder / name} was changed"
    except SuiteError as error:
        return str(error)
    return None


def _is_seal_of(seal: Any, wanted: str) -> bool:
    return (
        isinstance(seal, dict)
        and seal.get("schema") == SCHEMA
        and isinstance(seal.get("files"), dict)
        and isinstance(seal.get("identity"), dict)
        and identifier(str(seal.get("kind")), seal["identity"]) == wanted
    )


@contextlib.contextmanager
def filling(order: Order) -> Iterator[Path]:
    """Yield an empty folder for an artefact's files, seal it and move it into place.

    On an exception, or if the process is killed, the place is as it was before, or empty.

    Yields
    ------
    Path

    Raises
    ------
    SuiteError
        If the folder cannot be written or the disk is full.
    """
    try:
        order.folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{order.id}.", suffix=".part", dir=order.folder.parent))
    except OSError as error:
        raise SuiteError(f"cannot write {order.folder}: {error.strerror or error}") from error
    try:
        yield part
        _seal(order, part)
        if not sound(order):  # another process may have been faster
            _move(part, order.folder)
    except OSError as error:
        raise SuiteError(f"cannot write {order.folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _seal(order: Order, folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {path.relative_to(folder).as_posix(): file_digest(path, "sha256") for path in files}
    write_json(folder / SEAL, {"schema": SCHEMA, "kind": order.kind, "identity": order.identity, "files": digests})


def _move(part: Path, folder: Path) -> None:
    """Put a whole folder in the place of an unsound one or of none."""
    part.chmod(0o755)
    if folder.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".old", dir=folder.parent))
        folder.rename(old / folder.name)
        part.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        part.rename(folder)


def touch(order: Order) -> None:
    """Give an artefact's seal the present time: it is later than what asked for it."""
    with contextlib.suppress(OSError):
        os.utime(order.folder / SEAL)


def issue(path: Path) -> None:
    """Write an order's document or a seal once more, with another number, so that a workflow sees it as changed.

    The time of change is not enough for that: Snakemake looks at the checksum of small files, too.
    """
    content = read_json(path)
    write_json(path, {**content, "issue": content.get("issue", 0) + 1})
