"""A training's state on disk, from which a killed one goes on as if nothing had happened.

A file is a torch archive of tensors, numbers and texts, which is loaded without running any code, and a last line:
schema and SHA-256 of what stands before it. It carries the identity of its training; that of any other is left alone.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Protocol

import torch
from torch import Tensor

from emlc.engine.history import History
from emlc.models import processes
from emlc.records.artefacts import atomic_path, canonical_json
from emlc.records.errors import Interrupted, SuiteError

SCHEMA = "emlc.checkpoint/2"
SEAL_BYTES = len(f"\n{SCHEMA} \n") + 64
SHARE = 0.01
"""Of a training's time, which the checkpoints after its epochs may take."""

log = logging.getLogger(__name__)


class Resumable(Protocol):
    """What has a state that decides its steps to come."""

    def state(self) -> dict[str, Any]: ...  # noqa: D102

    def load_state(self, state: dict[str, Any]) -> None: ...  # noqa: D102


class CheckpointFile:
    """Keeps a training in one file: after an epoch wherever that costs little, and every so many minutes within one.

    Parameters
    ----------
    path : Path
    identity : mapping
        All that decides the training, in JSON values.
    minutes : float
        From one checkpoint to the next within an epoch.
    stopped : callable
        Whether the process has been asked to stop.
    """

    def __init__(
        self, path: Path, identity: Mapping[str, Any], minutes: float, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        self.path, self.identity, self.minutes, self.stopped = path, identity, minutes, stopped
        self.started = self.saved = time.monotonic()
        self.cost = 0.0
        self.refused = False

    def read(self, history: History, device: torch.device) -> dict[str, Any] | None:
        """Bring a history to where the checkpoint left it and return the state of the training there.

        None if that was its end, or, and the log says why, if there is no checkpoint to go on from.
        """
        content = read_checkpoint(self.path, self.identity)
        if content is None:
            return None
        begun = unstacked(content["begun"], content["layout"], device)
        vars(history).update(json.loads(content["history"]), begun=begun)
        history.resumed += 1
        log.info("%s: going on after epoch %d, step %d", self.path, len(history.epochs), len(begun))
        return content["state"]

    def step_done(self, work: Resumable, history: History) -> None:
        """Write a checkpoint if its time has come.

        Raises
        ------
        Interrupted
            If the process has been asked to stop; the checkpoint is written.
        """
        self._keep(work, history, 60 * self.minutes)

    def epoch_done(self, work: Resumable, history: History) -> None:
        """Write a checkpoint unless the last one took too large a share of the time since.

        Raises
        ------
        Interrupted
            If the process has been asked to stop; the checkpoint is written.
        """
        self._keep(work, history, self.cost / SHARE)

    def _keep(self, work: Resumable, history: History, pause: float) -> None:
        stopped, due = processes.anywhere(self.stopped(), time.monotonic() - self.saved >= pause)
        if stopped or due:
            self.write(work.state(), history)
        if stopped:
            raise Interrupted(f"stopped as asked; the next start goes on from {self.path}")

    def write(self, state: Mapping[str, Any] | None, history: History) -> None:
        """Write a checkpoint; a disk that has no room for it is told once, not the end of the training.

        Without a state it says that the training is done. Of several processes, the first writes for all.
        """
        began = time.monotonic()
        spent = history.spent + began - self.started
        try:
            if processes.rank() == 0:
                write_checkpoint(self.path, self.identity, state, dataclasses.replace(history, spent=spent))
        except SuiteError as error:
            if not self.refused:
                log.warning("no checkpoint: %s", error)
            self.refused = True
        self.saved = time.monotonic()
        self.cost = self.saved - began


def write_checkpoint(
    path: Path, identity: Mapping[str, Any], state: Mapping[str, Any] | None, history: History
) -> None:
    """Write a checkpoint, atomically and without a second copy of it in memory.

    Raises
    ------
    SuiteError
        If the file cannot be written.
    """
    told = {name: value for name, value in vars(history).items() if name != "begun"}
    content = {
        "identity": canonical_json(identity),
        "history": json.dumps(told, allow_nan=False),  # the order of its columns is the methods'
        "begun": stacked(history.begun),
        "layout": [list(row) for row in history.begun],
        "state": state,
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        hashing = _Hashing(file)
        try:
            torch.save(content, hashing)
        except RuntimeError:
            if hashing.refused is not None:  # torch makes an error of its own of a disk that is full
                raise hashing.refused from None
            raise
        file.write(_seal(hashing.digest))


class _Hashing:
    """A file that notes the SHA-256 of what is written to it, and why nothing more can be."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.digest = file, hashlib.sha256()
        self.refused: OSError | None = None

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        try:
            return self.file.write(data)
        except OSError as error:
            self.refused = error
            raise

    def flush(self) -> None:
        self.file.flush()


def _seal(digest: Any) -> bytes:
    return f"\n{SCHEMA} {digest.hexdigest()}\n".encode()


def read_checkpoint(path: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a checkpoint's content, on the CPU; None if there is none that the run can go on from."""
    if not path.exists():
        return None
    try:
        content = _read(path)
    except SuiteError as error:
        log.warning("%s; the run starts anew", error)
        return None
    theirs = json.loads(content["identity"])
    misfits = sorted(key for key in {*theirs, *identity} if theirs.get(key) != identity.get(key))
    if misfits:
        log.warning("%s is of another run (%s differ); the run starts anew", path, ", ".join(misfits))
        return None
    return content


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            _check_seal(path, file)
            return _load(path, file)
    except OSError as error:
        raise SuiteError(f"cannot read {path}: {error.strerror or error}") from error


def _check_seal(path: Path, file: IO[bytes]) -> None:
    """Refuse a file whose last line is not the seal of what stands before it, and leave it at its start."""
    left = file.seek(0, os.SEEK_END) - SEAL_BYTES
    file.seek(0)
    digest = hashlib.sha256()
    while left > 0 and (part := file.read(min(left, 2**20))):
        digest.update(part)
        left -= len(part)
    if left or file.read() != _seal(digest):
        raise SuiteError(f"{path} is damaged or no checkpoint of schema {SCHEMA}")
    file.seek(0)


def _load(path: Path, file: IO[bytes]) -> dict[str, Any]:
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a foreign file makes the unpickler raise
        raise SuiteError(f"{path} is refused as a checkpoint: {type(error).__name__}") from error
    if not isinstance(content, dict) or not {"identity", "history", "begun", "layout", "state"} <= set(content):
        raise SuiteError(f"{path} is no checkpoint of a run")
    return content


def forget(path: Path) -> None:
    """Delete the checkpoint of a run that cannot go on; one that cannot be deleted does no harm."""
    with contextlib.suppress(OSError):
        path.unlink()


def stacked(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return one tensor per metric, of its values at the steps that have it."""
    columns: dict[str, list[Tensor]] = {}
    for row in rows:
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return {name: torch.stack(values) for name, values in columns.items()}


def unstacked(columns: Mapping[str, Tensor], layout: list[list[str]], device: torch.device) -> list[dict[str, Tensor]]:
    """Return the steps that :func:`stacked` was given, from the names of each one's metrics."""
    values = {name: iter(column.to(device).unbind()) for name, column in columns.items()}
    return [{name: next(values[name]) for name in names} for names in layout]
