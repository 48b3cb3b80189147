"""EMLC that waits, where a file says so, for what a test does to it; copied into a clone's ``baselines/``.

Each line of the file is a number of steps: a process takes so many, strikes the line out, and waits until it is asked
to stop. The numbers that it trains are those of EMLC, whatever happens to it. A second file gets a line from every run
that begins at its beginning.
"""

import os
import signal
import time
from pathlib import Path

from torch import Tensor

from emlc.method import EMLC
from emlc.records.artefacts import write_text

HALTS = Path("halts")
BEGUN = Path("begun")
WAITING = Path("waiting")
"""There while a process waits; holds the number of its job."""

_taken = 0


class HaltingEMLC(EMLC):
    """The method."""

    def begin_epoch(self, epoch: int) -> None:
        super().begin_epoch(epoch)
        if epoch == 0:
            with BEGUN.open("a") as file:
                file.write("a run\n")

    def step(self) -> dict[str, Tensor]:
        told = super().step()
        _halt_if_told()
        return told


def _halt_if_told() -> None:
    global _taken
    _taken += 1
    halts = HALTS.read_text().splitlines() if HALTS.exists() else []
    if halts and _taken == int(halts[0]):
        HALTS.write_text("\n".join(halts[1:]))
        write_text(WAITING, os.environ["SLURM_JOB_ID"])
        _wait_for_sigterm()
        WAITING.unlink()


def _wait_for_sigterm() -> None:
    """Wait until the step's command has noted the signal: it puts the former handler back then."""
    noting = signal.getsignal(signal.SIGTERM)
    while signal.getsignal(signal.SIGTERM) == noting:
        time.sleep(0.05)


METHOD = HaltingEMLC
