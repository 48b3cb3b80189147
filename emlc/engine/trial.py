"""A task so small that a method runs on it within a second: made in memory, to try methods out."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from emlc.data.base import Arrays
from emlc.engine.contract import Method, Training
from emlc.engine.history import History
from emlc.engine.keepers import Keeper
from emlc.engine.loop import Scored, train
from emlc.engine.recipe import Recipe
from emlc.engine.run import build_method, build_scored
from emlc.tasks.draw import Task, TaskSpec, make_task

CLASSES, TRAIN_PER_CLASS, TEST_PER_CLASS, CLEAN_PER_CLASS = 5, 16, 6, 3
CPU = torch.device("cpu")


def tiny_arrays(seed: int = 0) -> Arrays:
    """Return images 8x8 in which each class has a pattern of its own under noise, so that a network can learn it."""
    rng = np.random.default_rng(seed)
    patterns = rng.integers(0, 256, (CLASSES, 8, 8, 1))

    def images(labels: np.ndarray) -> np.ndarray:
        return np.clip(patterns[labels] + rng.normal(0, 40, (len(labels), 8, 8, 1)), 0, 255).astype(np.uint8)

    train_labels = rng.permutation(np.repeat(np.arange(CLASSES), TRAIN_PER_CLASS)).astype(np.int64)
    test_labels = np.repeat(np.arange(CLASSES), TEST_PER_CLASS).astype(np.int64)
    return Arrays(images(train_labels), train_labels, images(test_labels), test_labels, tuple("abcde"))


ARRAYS = tiny_arrays()
SPEC = TaskSpec(
    dataset="digits",
    data_sha256="0" * 64,
    kind="sym",
    rate=0.5,
    sampling="per-label",
    split="balanced",
    clean_per_class=CLEAN_PER_CLASS,
)
TASK = make_task(ARRAYS, SPEC, None, 0)
"""65 noisy and 15 clean images, half of the labels wrong."""


@dataclass(frozen=True)
class Trial:
    """A method to be tried.

    Attributes
    ----------
    implementation : str
        Its module.
    options : dict
    epochs : int
    task : Task
    """

    implementation: str
    options: dict[str, Any]
    epochs: int = 4
    task: Task = TASK

    def method(self) -> Method:
        """Return the method in its initial state."""
        return build_method(self._recipe, self.task, ARRAYS, CPU)

    def scored(self) -> Scored:
        """Return what it is scored on."""
        return build_scored(self._recipe, self.task, ARRAYS, CPU)

    def run(self, keeper: Keeper | None = None) -> History:
        """Train the method as :func:`emlc.engine.run.run` does."""
        return train(self.method(), self.scored(), self.epochs, keeper=keeper)

    @cached_property
    def history(self) -> History:
        """Of a run that is left in peace."""
        return self.run()

    @property
    def _recipe(self) -> Recipe:
        return Recipe(
            implementation=self.implementation,
            options=self.options,
            training=Training(self.epochs, batch_size=6, lr=0.05, momentum=0.9, weight_decay=5e-4),
            model={"name": "cnn-small", "width": 4},
            order="reshuffled",
            crop_padding=1,
            flips=False,
            mean=(0.3,),
            std=(0.4,),
            seed=0,
        )
