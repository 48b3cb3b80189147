"""Steps configure their own process; in tests it is shared."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def restored() -> Iterator[None]:
    """Put back the environment and what steps set in torch."""
    environment, threads = dict(os.environ), torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True
    torch.set_num_threads(threads)
    os.environ.clear()
    os.environ.update(environment)
