"""How the processes that torchrun has started for one training come together."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from emlc.records.errors import SuiteError
from pipelines.machine.devices import find_device
from pipelines.machine.torchrun import rank, started

PATIENCE = timedelta(days=1)
"""For the first process, which may have to wait for free GPUs. One that has ended is noticed at once."""


@contextmanager
def joined(device: str) -> Iterator[None]:
    """Let the processes talk to each other inside the block: by gloo between CPUs, by NCCL between GPUs.

    Only the first one logs what goes well.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}

    Raises
    ------
    SuiteError
        If they are on several machines, or if there is no GPU where one is asked for.
    """
    if started() == 1:
        yield
        return
    if os.environ.get("LOCAL_WORLD_SIZE") != os.environ["WORLD_SIZE"]:
        raise SuiteError("a training is shared by processes of one machine only; use torchrun --standalone")
    from torch import distributed

    if rank() > 0:
        logging.disable(logging.WARNING)
    backend = "cpu:gloo,cuda:nccl" if find_device(device).type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    yield
    distributed.destroy_process_group()  # not after an error, when the others may not answer
