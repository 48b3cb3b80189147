"""Steps of the workflow in real processes, forked from one that has PyTorch loaded, so that killing them is cheap."""

import multiprocessing
import os
import random
import resource
import runpy
import signal
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.chaos.preload"])
Condition = Callable[[], None]
"""What is to be different for a process, called in it before its step begins."""


def undisturbed() -> None:
    """As a process is usually started."""


def file_size_limit(size: int) -> None:
    """No file may grow beyond so many bytes, as on a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def memory_limit(more: int) -> None:
    """No more address space than so many bytes beyond what is in use (``ulimit -v``)."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def clock_set_back() -> None:
    """Each look at the clock finds it an hour earlier than the last."""
    now = [time.time()]

    def earlier() -> float:
        now[0] -= 3600
        return now[0]

    time.time = earlier


def environment(**variables: str) -> None:
    """Environment variables."""
    os.environ.update(variables)


def _step(module: str, argv: Sequence[str], log: Path, condition: Condition) -> None:
    os.setpgid(0, 0)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    condition()
    sys.argv = [module, *argv]
    sys.modules.pop(module, None)  # what was loaded beforehand is not what `python -m` runs
    runpy.run_module(module, run_name="__main__")


def start(module: str, argv: Sequence[str], log: Path, condition: Condition = undisturbed) -> BaseProcess:
    """Start a step; what it prints is appended to `log`."""
    child = CONTEXT.Process(target=_step, args=(module, list(argv), log, condition))
    child.start()
    return child


def status(child: BaseProcess, seconds: float = 120.0) -> int:
    """Wait for a step and return its exit status, negative for a signal; a hang is an error."""
    child.join(seconds)
    if child.exitcode is None:
        child.kill()
        raise AssertionError(f"no end after {seconds} seconds")
    return child.exitcode


def signalled(child: BaseProcess, number: int, after: float) -> int:
    """Send a signal after so many seconds, if the step still runs, and return its exit status."""
    child.join(after)
    if child.exitcode is None:
        os.kill(child.pid, number)
    return status(child)


def killed(child: BaseProcess, coin: random.Random, longest: float) -> bool:
    """Kill a step at a random moment; false if it had ended by then."""
    return signalled(child, signal.SIGKILL, coin.uniform(0, longest)) == -signal.SIGKILL
