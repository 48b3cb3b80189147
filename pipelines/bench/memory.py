"""Peak memory of one case, measured where nothing else adds to it."""

import multiprocessing
import re
from pathlib import Path

from pipelines.bench.cases import Case, Workload
from pipelines.machine.devices import open_device

STEPS = 2
"""The second step finds the optimisers' buffers in place."""


def peak_bytes(workload: Workload, case: Case, threads: int) -> int:
    """Return how much memory a case's training takes above that of the idle process, in bytes.

    Weights, optimiser buffers and batches are part of it. On the CPU a fresh process trains and its resident set is
    read; on a GPU torch's own allocator is asked.
    """
    if workload.device != "cpu":
        return _on_gpu(workload, case)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_on_cpu, (workload, case, threads))


def _on_gpu(workload: Workload, case: Case) -> int:
    import torch

    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step = workload.step(case)
    for _ in range(STEPS):
        step()
    return torch.cuda.max_memory_allocated() - before


def _on_cpu(workload: Workload, case: Case, threads: int) -> int:
    open_device("cpu", threads)
    before = _resident()
    step = workload.step(case)
    for _ in range(STEPS):
        step()
    return _resident() - before


def _resident() -> int:
    """Return the largest resident set of this process so far, in bytes.

    Not ``ru_maxrss``: on Linux a new process inherits that of the one which started it.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024
