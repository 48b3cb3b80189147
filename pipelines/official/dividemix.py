"""DivideMix: the public code's warm-up, division and training, for CIFAR and for Clothing1M."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.official import divided, ours
from pipelines.official.clones import Repository
from pipelines.official.comparison import Case, State
from pipelines.official.source import Definitions, load, needed

REPOSITORY = Repository("LiJunnan1992", "DivideMix", "d9d3058fa69a952463b896f84730378cdee6ec39")

CLOTHING = {"alpha": 0.5, "unlabelled_weight": 0.0, "entropy_bonus": True, "labelled_only": True}


def cases(clone: Path) -> Iterator[Case]:
    """Yield both kinds of warm-up, losses averaged over epochs, and the recipe of Clothing1M."""
    cifar, clothing = load(clone, "Train_cifar.py"), load(clone, "Train_clothing1M.py")
    for name, script, changes, epochs in (
        ("warm-up, then an epoch on divided samples", cifar, {}, 2),
        ("entropy rewarded in the warm-up, lambda_u = 0", cifar, {"entropy_bonus": True, "unlabelled_weight": 0.0}, 2),
        ("losses averaged over three epochs", cifar, {"loss_epochs": 5, "threshold": 0.6}, 4),
        ("Clothing1M's script", clothing, CLOTHING, 3),
    ):
        chosen = divided.options(**changes)
        yield Case(name, partial(_ours, chosen, epochs), partial(_official, script, chosen, epochs))


def _make(chosen: dict[str, Any]) -> Any:
    return ours.make("baselines.dividemix", chosen, divided.recipe())


def _ours(chosen: dict[str, Any], epochs: int, steps: int) -> State:
    return divided.train(_make(chosen), steps, epochs)


def _official(script: Definitions, chosen: dict[str, Any], epochs: int, steps: int, undone: bool) -> State:
    initial = _make(chosen)
    kind = _Clothing if initial.options.labelled_only else divided.Official
    return kind(script, initial).train(steps, epochs)


class _Clothing(divided.Official):
    """Its script for Clothing1M, whose functions take other arguments; paths are positions here."""

    def warm_up(self, epoch: int, *given: Any) -> None:
        """Let a network learn from all given labels."""
        needed(self.script, "warmup")(*given)

    def assess(self, epoch: int, number: int) -> Any:
        """Return the probabilities of a low loss [N] by a network."""
        return needed(self.script, "eval_train")(epoch, self.networks[number])[0]
