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
    """Take a free device for the rest of this process's life, waiting while all are busy.

    A process that holds one of the devices already gets the same again. The only one that SLURM gave to a job is the
    job's, whether SLURM gave it to others, too, or not: no lock then.

    Parameters
    ----------
    names : sequence of str
        What identifies each device on this machine, whatever its number here, e.g. a GPU's UUID.
    folder : Path, optional
        Of the lock files; default is :func:`slots_folder`.

    Returns
    -------
    int
        Position of the device in `names`.

    Raises
    ------
    SuiteError
        If the lock files cannot be written.
    """
    if len(names) == 1 and SLURM_JOB in os.environ:
        return 0
    files = [(folder or slots_folder()) / f"{name}.lock" for name in names]
    position = _held_or_free(files)
    if position is None:
        logger.info("all GPUs (%d) are taken by other processes; waiting for one", len(names))
    while position is None:
        time.sleep(POLL_SECONDS)
        position = _held_or_free(files)
    return position


def _held_or_free(files: Sequence[Path]) -> int | None:
    mine = [position for position, file in enumerate(files) if file in _held]
    if mine:
        return mine[0]
    return next((position for position, file in enumerate(files) if _lock(file)), None)


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
