"""How fast a device computes: as a benchmark of the suite recorded it, or by a rate that is stated."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from emlc.records.artefacts import read_json
from emlc.records.errors import SuiteError

GPU_FLOPS, CPU_FLOPS = 1e13, 5e10
"""Operations per second that are stated where nothing was measured: half the float32 peak of an A100; a CPU's core."""
KERNEL_SECONDS = 5e-6
"""The host's, to start a kernel on a GPU."""


class Rate(NamedTuple):
    """How fast a device trains.

    Attributes
    ----------
    flops : float
        Floating-point operations per second.
    kernel_seconds : float
        Least time per kernel.
    about : str
        Where it comes from.
    """

    flops: float
    kernel_seconds: float
    about: str

    def seconds(self, flops: float, kernels: float) -> float:
        """Return how long some work takes: the device computes while the host starts what comes next."""
        return max(flops / self.flops, kernels * self.kernel_seconds)


class Measured(NamedTuple):
    """What :mod:`pipelines.bench.loops` recorded on one device in one precision."""

    machine: str
    precision: str
    rate: Rate

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return not self.machine.startswith("cpu")


LOOPS = {"about", "images_per_second", "flops_per_image"}


def read_loops(paths: Iterable[Path]) -> list[Measured]:
    """Read the records of benchmarked training loops among some files and those in some folders.

    Raises
    ------
    SuiteError
        If a file cannot be read, or a path that is named itself is none of them.
    """
    found = []
    for path in paths:
        records = [loops for file in _files(path) if (loops := _loops(file)) is not None]
        if path.is_file() and not records:
            raise SuiteError(f"{path} is no record of training loops; python -m pipelines.bench.loops --out makes one")
        found += records
    return found


def _files(path: Path) -> Sequence[Path]:
    return [path] if path.is_file() else sorted(path.rglob("*.json"))


def _loops(path: Path) -> Measured | None:
    content = read_json(path)
    if not isinstance(content, dict) or not content.keys() >= LOOPS:
        return None
    about = content["about"]
    words = (
        f"counted arithmetic at the rate of {path.name} ({about['model']}, batch {about['batch']}, {about['machine']})"
    )
    return Measured(about["machine"], about["precision"], Rate(_reached(content), 0.0, words))


def _reached(content: Mapping[str, Any]) -> float:
    """Return the operations per second of the suite's loops, their median."""
    speeds, arithmetic = content["images_per_second"], content["flops_per_image"]
    return median(median(speed["suite"]) * arithmetic[loop] for loop, speed in speeds.items())


def rate_for(device: str, on_gpu: bool, precision: str, measured: Sequence[Measured]) -> Rate:
    """Return the rate of a device: its own if it was measured, else another GPU's for a GPU, else the stated one."""
    fitting = [one for one in measured if one.precision == precision]
    own = [one.rate for one in fitting if one.machine == device]
    others = [one.rate for one in fitting if on_gpu and one.on_gpu]
    stated = Rate(GPU_FLOPS if on_gpu else CPU_FLOPS, KERNEL_SECONDS if on_gpu else 0.0, stated_words(on_gpu))
    return next(iter([*own, *others, stated]))


def stated_words(on_gpu: bool) -> str:
    """Return how an estimate by the stated rate is made."""
    if on_gpu:
        return f"counted arithmetic at {GPU_FLOPS / 1e12:g} TFLOP/s, {1e6 * KERNEL_SECONDS:g} µs per kernel (stated)"
    return f"counted arithmetic at {CPU_FLOPS / 1e9:g} GFLOP/s (stated)"
