"""How fast this machine is: seconds of one small training, the same on every machine and in every version of the suite.

The loop is written down here and uses nothing of the suite's: what makes the suite faster must not make it faster.
"""

import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

STEPS, REPEATS = 200, 3
BATCH, SIDE, CLASSES = 28, 8, 10


def reference_seconds(steps: int = STEPS, repeats: int = REPEATS) -> float:
    """Return the seconds of the reference loop, median of `repeats`: `steps` SGD steps of a small network on one core.

    What it takes tells how the embedded profile's runs take, which train networks of that size on one core each.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _train(steps // 10)  # the first steps load kernels
        return statistics.median(_seconds(steps) for _ in range(repeats))
    finally:
        torch.set_num_threads(threads)


def _seconds(steps: int) -> float:
    started = time.perf_counter()
    _train(steps)
    return time.perf_counter() - started


def _train(steps: int) -> None:
    """Train three convolutions on random images of 8x8 pixels, as many in a batch as the embedded profile has."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn((BATCH, 1, SIDE, SIDE), generator=generator)
    labels = torch.randint(CLASSES, (BATCH,), generator=generator)
    network = nn.Sequential(*_block(1, 16, 1), *_block(16, 32, 2), *_block(32, 32, 1), nn.Flatten(), nn.Linear(512, 10))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.02, momentum=0.9)
    for _ in range(steps):
        optimiser.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimiser.step()


def _block(channels: int, width: int, stride: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
