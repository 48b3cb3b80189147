"""The device a step computes on, and kernels that round alike wherever they can. Torch comes in late."""

import os
import platform
from typing import TYPE_CHECKING

from emlc.records.errors import SuiteError
from pipelines.machine.slots import take_slot, take_slots

if TYPE_CHECKING:
    import torch

REPRODUCIBLE_KERNELS = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "AVX2",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}
"""One instruction set, so that another x86 processor rounds alike, and cuBLAS's repeatable kernels."""


def use_reproducible_kernels() -> None:
    """Set :data:`REPRODUCIBLE_KERNELS` where the environment does not say otherwise.

    Torch reads them when it is imported, so this has to come first.
    """
    os.environ.update({key: os.environ.get(key, value) for key, value in REPRODUCIBLE_KERNELS.items()})


def open_device(name: str, threads: int) -> "torch.device":
    """Return the device that a profile's ``device`` means here, with torch set to deterministic algorithms.

    A GPU is one that no other run on this machine has (:mod:`pipelines.machine.slots`), for the rest of this
    process's life; where all are busy, this waits. Which GPUs there are, ``CUDA_VISIBLE_DEVICES`` says.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda"}
    threads : int
        Of the CPU.

    Raises
    ------
    SuiteError
        If it is ``cuda`` and there is no GPU.
    """
    import torch

    kind = find_device(name).type
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # That also fills all new memory, at a cost in every small kernel; nothing here reads memory before writing it.
    torch.utils.deterministic.fill_uninitialized_memory = False
    _keep_freed_memory()
    if kind == "cpu":
        return torch.device("cpu")
    # By UUID: the same number may mean different GPUs in processes that see different ones.
    slot = _own_slot([str(torch.cuda.get_device_properties(i).uuid) for i in range(torch.cuda.device_count())])
    torch.cuda.set_device(slot)
    return torch.device("cuda", slot)


def _own_slot(names: list[str]) -> int:
    """Take a GPU; of several processes of a training, the first takes one for each and tells the others."""
    from torch import distributed

    from emlc.models import processes

    if processes.count() == 1:
        return take_slot(names)
    taken = [take_slots(names, processes.count()) if processes.rank() == 0 else None]
    distributed.broadcast_object_list(taken)
    return taken[0][processes.rank()]


def find_device(name: str) -> "torch.device":
    """Return what a profile's ``device`` means here without taking it: the CPU, or the first GPU.

    Raises
    ------
    SuiteError
        If it is ``cuda`` and there is no GPU.
    """
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise SuiteError("the profile asks for device cuda but PyTorch sees no GPU; use --config device=cpu (or auto)")
    return torch.device("cuda:0" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _keep_freed_memory() -> None:
    """Stop glibc from handing the activations of a step back to the system and fetching them anew in the next one.

    It returns free memory beyond twice the largest block that was ever freed, 32 MiB at most (mallopt(3)).
    """
    import torch

    torch.empty(31 << 20, dtype=torch.uint8)


def device_name(device: "torch.device") -> str:
    """Return the device's name for records, e.g. ``NVIDIA A100-SXM4-40GB`` or ``cpu (x86_64)``."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"


def versions() -> dict[str, str]:
    """Return the versions that decide numbers, for records."""
    import torch

    return {"python": platform.python_version(), "torch": str(torch.__version__)}
