"""``pipelines.train`` whose second process is killed, or whose first one is told to stop, in its n-th step."""

import os
import signal
import sys

from emlc.engine.streams import Stream
from pipelines.machine.cli import run
from pipelines.machine.torchrun import rank
from pipelines.train import main

DRAW = Stream.next
WHO = {"SIGKILL": 1, "SIGTERM": 0}


def drawn(stream):
    global left
    left -= 1
    if left == 0 and rank() == WHO[sys.argv[1]]:
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    return DRAW(stream)


if __name__ == "__main__":
    left = int(sys.argv[2])
    Stream.next = drawn
    run(lambda argv: main(argv[2:]))
