"""Make the file that a ``.dvc`` pointer pins exist, with exactly the pinned bytes.

A file of the repository is copied. Any other is looked for in DVC's cache, in the DVC remote (if one is configured), in
a mirror (a folder or URL with files of the same name) and at its official URL, in this order.
"""

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from emlc.records.artefacts import atomic_path
from emlc.records.errors import SuiteError
from pipelines.fetching.download import download
from pipelines.fetching.pointers import Pointer, find_damage, how_to_replace, is_url, read_pointer
from pipelines.machine.cli import Parser, run

logger = logging.getLogger(__name__)

MIRROR_VARIABLE = "EMLC_MIRROR"

Attempt = Callable[[], None]


def fetch(file: Path, mirror: str | None = None) -> Path:
    """Return the file that the pointer `file` pins, after getting it where it is not there yet.

    Parameters
    ----------
    file : Path
        The ``.dvc`` file.
    mirror : str, optional
        Folder or URL; default is the environment variable ``EMLC_MIRROR``.

    Raises
    ------
    SuiteError
        If a file of that name is there but not the pinned one (it is left alone), or no place has it (every attempt
        and the three ways to provide it are named). Other bytes than the pinned ones never get the file's name.
    """
    pointer = read_pointer(file)
    if _is_there(pointer):
        return pointer.target
    with _locked(pointer):
        if not _is_there(pointer):
            _try_all(pointer, _places(pointer, mirror or os.environ.get(MIRROR_VARIABLE)))
    return pointer.target


@contextmanager
def _locked(pointer: Pointer) -> Iterator[None]:
    """Let one process at a time fetch a file; the others wait and then find it there."""
    lock = FileLock(_beside(pointer, ".lock"))
    try:
        pointer.target.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise SuiteError(f"cannot write {pointer.target}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def _is_there(pointer: Pointer) -> bool:
    if not pointer.target.exists():
        return False
    if damage := find_damage(pointer.target, pointer):
        raise SuiteError(f"{pointer.target} is damaged: it has {damage}; {how_to_replace(pointer)}")
    return True


def _places(pointer: Pointer, mirror: str | None) -> list[tuple[str, Attempt]]:
    embedded, url = pointer.embedded, pointer.url
    if embedded is not None:
        return [(str(embedded), lambda: _copy(pointer, embedded))]
    places: list[tuple[str, Attempt]] = []
    if pointer.file.suffix == ".dvc":
        places += [("DVC cache", lambda: _dvc(pointer, "checkout")), ("DVC remote", lambda: _pull(pointer))]
    if mirror:
        places.append((f"mirror {mirror}", lambda: _from_mirror(pointer, mirror)))
    if url:
        places.append((url, lambda: _download(pointer, url)))
    return places


def _try_all(pointer: Pointer, places: Sequence[tuple[str, Attempt]]) -> None:
    failures = []
    for place, attempt in places:
        try:
            attempt()
        except SuiteError as error:
            failures.append(f"{place}: {error}")
        else:
            logger.info("fetched %s from %s", pointer.target, place)
            return
    raise SuiteError(
        f"cannot get {pointer}. Tried {'; '.join(failures)}. Provide it in one of three ways: put the file at "
        f"{pointer.target}; name a folder or URL that has it with --mirror or {MIRROR_VARIABLE}; or configure a DVC "
        "remote that has it (dvc remote add --default)"
    )


def _copy(pointer: Pointer, source: Path) -> None:
    """Copy `source` to the target if its bytes are the pinned ones, looking at the copy, not at the source."""
    if not source.is_file():
        raise SuiteError("no such file")
    with atomic_path(pointer.target) as temporary:
        shutil.copyfile(source, temporary)
        _refuse_other_bytes(temporary, pointer)


def _from_mirror(pointer: Pointer, mirror: str) -> None:
    if is_url(mirror):
        _download(pointer, f"{mirror.rstrip('/')}/{pointer.target.name}")
    else:
        _copy(pointer, Path(mirror).expanduser() / pointer.target.name)


def _download(pointer: Pointer, url: str) -> None:
    """Download beside the target, verify, move into place; a partial file that proves wrong is given up once."""
    part = _beside(pointer, ".part")
    resumed = part.exists()
    download(url, part, pointer.size)
    damage = find_damage(part, pointer)
    if damage and resumed:
        part.unlink()
        download(url, part, pointer.size)
    try:
        _refuse_other_bytes(part, pointer)
        part.replace(pointer.target)
    finally:
        part.unlink(missing_ok=True)


def _pull(pointer: Pointer) -> None:
    if not _dvc_output(pointer, "remote", "list").strip():
        raise SuiteError("none configured")
    _dvc(pointer, "pull")


def _dvc(pointer: Pointer, command: str) -> None:
    """Let DVC put the target in place; take it away again where DVC's copy is not the pinned one."""
    _dvc_output(pointer, command, pointer.file.name)
    try:
        _refuse_other_bytes(pointer.target, pointer)
    except SuiteError:
        pointer.target.unlink(missing_ok=True)
        raise


def _dvc_output(pointer: Pointer, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(
        command, cwd=pointer.file.parent, env=environment, capture_output=True, text=True, check=False
    )
    if "missing-files" in done.stderr:
        raise SuiteError("not there")
    if done.returncode:
        lines = [line.removeprefix("ERROR: ") for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        raise SuiteError(" ".join(lines[-1].split()) if lines else f"dvc ended with status {done.returncode}")
    return done.stdout


def _refuse_other_bytes(path: Path, pointer: Pointer) -> None:
    if damage := find_damage(path, pointer):
        raise SuiteError(f"it has other bytes: {damage}; refused")


def _beside(pointer: Pointer, suffix: str) -> Path:
    return pointer.target.with_name(f".{pointer.target.name}{suffix}")


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    parser = Parser("pipelines.fetch", description=__doc__)
    parser.add_argument("pointer", type=Path, help="the .dvc file, e.g. data/cifar10.dvc")
    parser.add_argument("--mirror", help=f"folder or URL with files of the same name (default: {MIRROR_VARIABLE})")
    args = parser.parse_args(argv)
    fetch(args.pointer, args.mirror)
    return 0


if __name__ == "__main__":
    run(main)
