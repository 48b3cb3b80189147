"""For official code that knows ten classes only."""

from collections.abc import Callable
from functools import wraps
from unittest.mock import patch

from pipelines.official import ours
from pipelines.official.comparison import State


def with_ten_classes(side: Callable[..., State]) -> Callable[..., State]:
    """Return a side of a case that runs while our tiny networks and batches have ten classes."""

    @wraps(side)
    def run(*arguments: object) -> State:
        with patch.object(ours, "CLASSES", 10):
            return side(*arguments)

    return run
