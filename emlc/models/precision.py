"""In which numbers networks are computed: IEEE float32, TF32, or bfloat16 where autocast finds it safe."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn

PRECISIONS = ("float32", "tf32", "bfloat16")
"""``tf32``: float32, but NVIDIA GPUs round the factors of matrix products and convolutions to 10 bits. ``bfloat16``:
encoders under autocast, so convolutions and activations have 8 bits; parameters and their gradients, batch statistics,
features, classifiers, losses, whatever a method computes of them, and optimisers stay float32."""


def encoder(features: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    """Decorate a backbone's ``features``: computed in its ``precision``, they always come as float32."""

    @wraps(features)
    def computed(backbone: Any, images: Tensor) -> Tensor:
        if backbone.precision != "bfloat16":
            return features(backbone, images)
        with _autocast(images.device):
            return features(backbone, images).float()

    return computed


def as_computed(output: Tensor) -> AbstractContextManager[None]:
    """Return a context that computes in the precision that `output` has, whatever the precision around it is."""
    half = output.dtype == torch.bfloat16
    return nullcontext() if half == torch.is_autocast_enabled(output.device.type) else _autocast(output.device, half)


def memory_format(backbone: Any, device: torch.device) -> torch.memory_format:
    """Return how a backbone shall lie in memory: channels last for CPUs and for a GPU's matrix units."""
    if device.type == "cuda":
        return torch.contiguous_format if backbone.precision == "float32" else torch.channels_last
    unsafe = any(map(_overruns_memory, backbone.modules()))
    return torch.contiguous_format if unsafe else torch.channels_last


def _overruns_memory(module: nn.Module) -> bool:
    """Whether PyTorch 2.15 on a CPU corrupts the heap in this module's backward pass, channels last (oneDNN, AVX2).

    Seen with up to 9 channels, on images from 8 to 64 pixels; never with 10 or more.
    """
    if not isinstance(module, nn.Conv2d):
        return False
    return module.kernel_size == (1, 1) and module.stride != (1, 1) and module.in_channels < 16


@contextmanager
def matrix_products(precision: str) -> Iterator[None]:
    """Let GPUs round to TF32 inside the block if `precision` says so, and nowhere if not (PyTorch's default mixes)."""
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "tf32" if precision == "tf32" else "ieee"
        yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.fp32_precision = value


def _autocast(device: torch.device, enabled: bool = True) -> AbstractContextManager[None]:
    # A cache of cast parameters would outlive an optimiser's step inside a surrounding autocast.
    return torch.autocast(device.type, torch.bfloat16, enabled, cache_enabled=False)
