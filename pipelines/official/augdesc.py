"""AugDesc: the public code's warm-up, division and training, for CIFAR."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.official import divided, ours
from pipelines.official.clones import Repository
from pipelines.official.comparison import Case, State
from pipelines.official.source import Definitions, load

REPOSITORY = Repository("KentoNishi", "Augmentation-for-LNL", "908a22b23ca4cd5c70c52bdaa6a4304a5cbb1fda")

RELEASED = {"scoring_view": "plain"}


def cases(clone: Path) -> Iterator[Case]:
    """Yield both kinds of warm-up and losses averaged over epochs, all with the released option."""
    script = load(clone, "train_cifar.py")
    for name, changes, epochs in (
        ("strong views learned, weak ones analysed, released option", {}, 2),
        ("entropy rewarded, lambda_u = 0, released option", {"entropy_bonus": True, "unlabelled_weight": 0.0}, 2),
        ("losses averaged over three epochs, released option", {"loss_epochs": 5, "threshold": 0.6}, 4),
    ):
        chosen = divided.options(**RELEASED, **changes)
        yield Case(name, partial(_ours, chosen, epochs), partial(_official, script, chosen, epochs))


def _make(chosen: dict[str, Any]) -> Any:
    return ours.make("baselines.augdesc", chosen, divided.recipe())


def _ours(chosen: dict[str, Any], epochs: int, steps: int) -> State:
    return divided.train(_make(chosen), steps, epochs)


def _official(script: Definitions, chosen: dict[str, Any], epochs: int, steps: int, undone: bool) -> State:
    return divided.Official(script, _make(chosen)).train(steps, epochs)
