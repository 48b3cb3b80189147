"""The options that the benchmarks share: what is trained, and where."""

import argparse
import os
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from emlc.records.errors import SuiteError
from pipelines.machine.devices import device_name, open_device, use_reproducible_kernels, versions

if TYPE_CHECKING:
    from pipelines.bench.cases import Workload


def add_workload(parser: argparse.ArgumentParser) -> None:
    """Add the options that :func:`open_workload` reads."""
    parser.add_argument("--model", default="resnet18", help="a backbone of emlc.models")
    parser.add_argument("--width", type=int, help="of the first stage (default: the model's own)")
    parser.add_argument("--batch", type=int, default=32, help="images in one noisy and in one clean batch")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--precision", default="float32", choices=("float32", "tf32", "bfloat16", "float64"))
    parser.add_argument("--layout", choices=("channels-first", "channels-last"), help="default: as training has it")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of the CPU")


def open_workload(args: argparse.Namespace, image: tuple[int, int, int]) -> "Workload":
    """Return the workload that the options describe, for images of a shape, with its device ready.

    Raises
    ------
    SuiteError
        If it is to be a GPU and there is none.
    """
    use_reproducible_kernels()
    import torch

    from emlc.models.precision import memory_format
    from pipelines.bench.cases import Workload

    if args.device == "cuda" and not torch.cuda.is_available():
        raise SuiteError("PyTorch sees no GPU here; leave out --device cuda")
    open_device(args.device, args.threads)
    first = Workload(args.model, args.width, args.batch, image, args.device, args.precision, channels_last=False)
    trained_so = memory_format(first.network("student"), torch.device(args.device)) is torch.channels_last
    return replace(first, channels_last=trained_so if args.layout is None else args.layout == "channels-last")


def facts(workload: "Workload", threads: int) -> dict[str, Any]:
    """Return what was trained and where, for a page and its record."""
    import torch

    machine = device_name(torch.device(workload.device))
    return {**asdict(workload), "threads": threads, "machine": machine, **versions()}
