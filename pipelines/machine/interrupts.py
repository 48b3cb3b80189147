"""SIGTERM and SIGINT as a request that a training heeds after the step at hand."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NamedTuple, Self

from emlc.records.errors import Interrupted
from pipelines.machine.torchrun import rank, started

SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""What schedulers and shells send before they kill."""


class Keep(NamedTuple):
    """Where a training's checkpoint lies, and what says that the process is to stop."""

    path: Path
    stopped: Callable[[], bool]


def stoppable(work: Callable[["StopRequest"], int]) -> int:
    """Return the exit status of `work`: its own, or 128 + signal if it was stopped as asked, which is said."""
    with StopRequest() as stopped:
        try:
            return work(stopped)
        except Interrupted as stop:
            number = stopped.signal or signal.SIGTERM  # another process of the training may have been the one asked
            if rank() == 0:
                print(f"{signal.Signals(number).name}: {stop}", file=sys.stderr)
            return 128 + number


class StopRequest:
    """A context in which the first of :data:`SIGNALS` is noted; a second one does what it does elsewhere.

    Under torchrun it is ignored: torchrun hands on what a shell or a scheduler has sent to all processes already.

    Attributes
    ----------
    signal : int or None
        What was received.
    """

    def __init__(self) -> None:
        self.signal: int | None = None

    def __call__(self) -> bool:
        """Whether the process has been asked to stop."""
        return self.signal is not None

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        if started() > 1:
            return
        for other, handler in self._before.items():
            signal.signal(other, handler)
