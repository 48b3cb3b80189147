"""One process per GPU: a locked file for each device, which the kernel frees when its holder ends, however it ends."""

import logging
import os
import stat
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from emlc.records.errors import SuiteError

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
SLURM_JOB = "SLURM_JOB_ID"

_held: dict[Path, FileLock] = {}


def slots_folder() -> Path:
    """Return the folder of the lock files: one per user and machine, so that workflows in any folder share it.

    Raises
    ------
    SuiteError
        If it cannot be made, or something of that name belongs to somebody else.
    """
    folder = Path(tempfile.gettempdir()) / f"emlc-gpus-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        facts = folder.lstat()
    except OSError as error:
        raise SuiteError(f"cannot make the folder of GPU locks {folder}: {error.strerror or error}") from error
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise SuiteError(f"{folder} is not a folder of yours and cannot hold GPU locks; set TMPDIR to another place")
    return folder


def take_slot(names: Sequence[str], folder: Path | None = None) -> int:
    """Take one device: the only one of :func:`take_slots`."""
    return take_slots(names, 1, folder)[0]


def take_slots(names: Sequence[str], count: int, folder: Path | None = None) -> list[int]:
    """Take free devices for the rest of this process's life, waiting while too few are free.

    All or none: two trainings that need several never wait for each other. A process that holds devices already gets
    the same again. Those that SLURM gave to a job are the job's, whether SLURM gave them to others, too, or not: no
    lock where all of them are wanted.

    Parameters
    ----------
    names : sequence of str
        What identifies each device on this machine, whatever its number here, e.g. a GPU's UUID.
    count : int
        How many.
    folder : Path, optional
        Of the lock files; default is :func:`slots_folder`.

    Returns
    -------
    list of int
        Positions of the devices in `names`.

    Raises
    ------
    SuiteError
        If there are not as many, or the lock files cannot be written.
    """
    if count > len(names):
        raise SuiteError(f"a training by {count} processes needs as many GPUs, and here are {len(names)}")
    if count == len(names) and SLURM_JOB in os.environ:
        return list(range(count))
    files = [(folder or slots_folder()) / f"{name}.lock" for name in names]
    positions = _held_or_free(files, count)
    if not positions:
        wanted = "one" if count == 1 else str(count)
        logger.info("all GPUs (%d) are taken by other processes; waiting for %s", len(names), wanted)
    while not positions:
        time.sleep(POLL_SECONDS)
        positions = _held_or_free(files, count)
    return positions


def _held_or_free(files: Sequence[Path], count: int) -> list[int]:
    """Return the positions of as many files as are wanted, all locked; none if that many cannot be had."""
    taken = [position for position, file in enumerate(files) if file in _held][:count]
    new: list[int] = []
    for position, file in enumerate(files):
        if len(taken) + len(new) < count and file not in _held and _lock(file):
            new.append(position)
    if len(taken) + len(new) == count:
        return taken + new
    for position in new:
        _held.pop(files[position]).release()
    return []


def _lock(file: Path) -> bool:
    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    except OSError as error:
        raise SuiteError(f"cannot lock {file}: {error.strerror or error}") from error
    _held[file] = lock
    return True
