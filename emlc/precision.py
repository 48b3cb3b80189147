"""In which numbers networks are computed: IEEE float32, TF32, or bfloat16 where autocast finds it safe."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import Any

import torch
from torch import Tensor

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


def memory_format(precision: str, device: torch.device) -> torch.memory_format:
    """Return how networks lie in memory: channels last for CPUs and for a GPU's matrix units, which read them so."""
    on_plain_units = device.type == "cuda" and precision == "float32"
    return torch.contiguous_format if on_plain_units else torch.channels_last


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
