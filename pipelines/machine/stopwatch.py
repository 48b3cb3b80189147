"""Measuring time and memory so that the numbers can be compared: interleaved, warmed up, synchronised."""

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile, record_function

Work = Callable[[], object]

MEASURED = "the work whose memory is measured"


class Spread(NamedTuple):
    """Median and quartiles of n measurements."""

    median: float
    lower: float
    upper: float
    n: int

    def __str__(self) -> str:
        """The median and, in brackets, the quartiles, to three digits."""
        return f"{self.median:.3g} [{self.lower:.3g}, {self.upper:.3g}]"


def spread(values: "list[float] | np.ndarray") -> Spread:
    """Summarise measurements."""
    lower, median, upper = np.quantile(values, [0.25, 0.5, 0.75])
    return Spread(float(median), float(lower), float(upper), len(values))


def synchronise(device: torch.device) -> None:
    """Wait until `device` has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def interleaved(works: Mapping[str, Work], rounds: int, warm_up: int, device: torch.device) -> dict[str, list[float]]:
    """Time every work once per round, and return each one's seconds by round.

    What slows the machine down for a while hits all works of a round alike, so ratios are to be taken within rounds.
    The order rotates from round to round: none always comes after the same other one.

    Parameters
    ----------
    works : mapping of str to callable
    rounds, warm_up : int
        Rounds that count, and rounds before them that do not.
    device : torch.device
        Waited for before every reading of the clock.
    """
    names = list(works)
    measured: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-warm_up, rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            taken = seconds(works[name], device)
            if number >= 0:
                measured[name].append(taken)
    return measured


def seconds(work: Work, device: torch.device) -> float:
    """Return how long `work` takes on `device`, from nothing under way to nothing under way."""
    synchronise(device)
    started = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - started


def peak_bytes(work: Work, device: torch.device) -> int:
    """Return how much more memory tensors take at the worst moment of `work` than before it; does the work twice.

    On a GPU by the allocator's own peak; on the CPU by adding up every allocation and release that PyTorch's profiler
    sees. Work spaces that libraries allocate past PyTorch are not in it.
    """
    return _peak_on_gpu(work, device) if device.type == "cuda" else _peak_on_cpu(work)


def _peak_on_gpu(work: Work, device: torch.device) -> int:
    work()
    synchronise(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    synchronise(device)
    return torch.cuda.max_memory_allocated(device) - before


def _peak_on_cpu(work: Work) -> int:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()  # the profiler misses releases of what it did not see allocated: the gradients of the step before
        with record_function(MEASURED):
            work()
    events = _trace(profiler)
    begin = next(event["ts"] for event in events if event.get("name") == MEASURED)
    changes = [(event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]"]
    return max(accumulate((size for time, size in sorted(changes) if time >= begin), initial=0))


def _trace(profiler: profile) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        return json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
