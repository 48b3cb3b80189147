"""One run on the embedded data at 50 % symmetric noise, for the tests that a method learns more than Cross-Entropy."""

from typing import Any, NamedTuple

import torch

from emlc.data.digits import Digits
from emlc.engine.contract import Method, Training
from emlc.engine.loop import Scored, train
from emlc.engine.run import Recipe, build_method, build_scored
from emlc.tasks.draw import TaskSpec, make_task
from tests.fixtures import ROOT


class Trained(NamedTuple):
    """What a run left behind; `accuracies` are those on the test set (%) after each epoch.

    Tests look at the last epochs: the one selected on 30 clean images would add noise of its own.
    """

    method: Method
    scored: Scored
    accuracies: list[float]

    @property
    def last_five(self) -> float:
        """Mean accuracy over the last five epochs."""
        return sum(self.accuracies[-5:]) / 5


def train_on_digits(implementation: str, options: dict[str, Any], seed: int, epochs: int) -> Trained:
    digits, device = Digits(), torch.device("cpu")
    arrays = digits.prepare((ROOT / "embedded" / "digits.npz",))
    spec = TaskSpec(
        dataset="digits",
        data_sha256="0" * 64,
        kind="sym",
        rate=0.5,
        sampling="per-label",
        split="balanced",
        clean_per_class=3,
    )
    recipe = Recipe(
        implementation=implementation,
        options=options,
        training=Training(epochs=epochs, batch_size=28, lr=0.05, momentum=0.9, weight_decay=5e-4),
        model={"name": "cnn-small"},
        order="reshuffled",
        crop_padding=1,
        flips=False,
        mean=digits.mean,
        std=digits.std,
        seed=seed,
    )
    task = make_task(arrays, spec, digits.class_map, seed)
    method = build_method(recipe, task, arrays, device)
    scored = build_scored(recipe, task, arrays, device)
    history = train(method, scored, epochs)
    return Trained(method, scored, [row["test_accuracy"] for row in history.epochs])
