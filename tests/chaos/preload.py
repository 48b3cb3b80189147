"""What a training process has loaded when its work begins."""

from importlib import import_module

from pipelines.machine.devices import use_reproducible_kernels

LOADED = (
    "torch._dynamo",  # by the first optimiser
    "torch._inductor.config",  # by deterministic algorithms
    "pipelines.training.runs",
    "pipelines.fetch",
    "pipelines.inject",
    "pipelines.train",
)

use_reproducible_kernels()
for name in LOADED:
    import_module(name)
