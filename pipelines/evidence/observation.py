"""What a run is watched for, epoch by epoch, without changing it: corrected labels, gradients, embeddings."""

import copy
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emlc.engine.contract import Batch, Method, Samples
from emlc.engine.evaluation import outputs
from emlc.engine.history import History
from emlc.engine.keepers import Keeper
from emlc.metagrad.meta_scale import norm
from emlc.records.errors import SuiteError

GRADIENT_STEPS = 5
"""Steps, on copies of the run, whose gradients one epoch's norms are the median of."""

LOSSES = {"supervised": {"meta_weight": 0.0}, "meta": {"ce_weight": 0.0, "bce_weight": 0.0}}
"""Half of the teacher's gradient -> the weights of equation 12 that leave nothing else."""


class Observer(Keeper):
    """Notes what a run's networks say after every epoch.

    Parameters
    ----------
    test : Samples
    true_labels : array of int [N]
        Of the noisy set: known here, never to the method. Empty if nobody knows them.

    Attributes
    ----------
    epochs : list of dict
        ``recovery`` and ``wrong_recovery``, the shares (%) of all and of the wrongly labelled noisy samples whose
        corrected label is most probably the true one; where the method is an EMLC, ``<half>_<part>``, the Euclidean
        norm of either half of the teacher's gradient by part. Shares are None where nobody knows the true labels.
    """

    def __init__(self, test: Samples, true_labels: np.ndarray) -> None:
        self.test = test
        self.true_labels = torch.tensor(true_labels, device=test.labels.device)
        self.epochs: list[dict[str, float | None]] = []

    def after_epoch(self, method: Method, history: History) -> None:
        """Note an epoch that is done and scored."""
        self.epochs.append({"epoch": len(history.epochs) - 1, **self._shares(method), **gradient_norms(method)})

    def _shares(self, method: Method) -> dict[str, float | None]:
        if not len(self.true_labels):
            return {"recovery": None, "wrong_recovery": None}
        right = self.corrected(method).argmax(dim=1) == self.true_labels
        wrong = method.setting.noisy.labels != self.true_labels
        return {"recovery": _percent(right), "wrong_recovery": _percent(right[wrong])}

    def corrected(self, method: Method) -> Tensor:
        """Return the corrected labels [N, C] of the noisy set, unaugmented, in evaluation mode.

        Raises
        ------
        SuiteError
            If the method corrects no labels.
        """
        if not hasattr(method, "corrected_labels"):
            raise SuiteError(f"{type(method).__name__} corrects no labels: there is nothing to observe")
        return outputs(method, lambda batch: method.corrected_labels(batch.inputs, batch.labels), method.setting.noisy)

    def retained(self, method: Method) -> Tensor:
        """Return the weight [N] that the teacher's gate gives each noisy sample's label; empty without a gate."""
        if not hasattr(method.teacher, "gate"):
            return torch.zeros(0)
        return outputs(
            method, lambda batch: method.teacher(batch.inputs, batch.labels).retain.sigmoid(), method.setting.noisy
        )

    def embeddings(self, method: Method) -> Tensor:
        """Return the student's features [M, d] of the test images."""
        return outputs(method, lambda batch: method.student.features(batch.inputs), self.test)


def _percent(right: Tensor) -> float:
    return round(100 * right.double().mean().item(), 6) if len(right) else float("nan")


def gradient_norms(method: Method) -> dict[str, float]:
    """Return the norms of the teacher's supervised and meta-gradient, part by part; nothing for other methods.

    Each is the median over a few steps that copies of the method take on copies of the streams.
    """
    if not hasattr(method.options, "meta_weight"):
        return {}
    noisy, clean = copy.deepcopy(method.noisy), copy.deepcopy(method.clean)
    batches = [(noisy.next(), clean.next()) for _ in range(GRADIENT_STEPS)]
    return {
        f"{half}_{part}": median(lengths)
        for half, weights in LOSSES.items()
        for part, lengths in _lengths(method, batches, weights).items()
    }


def _lengths(method: Any, batches: list[tuple[Batch, Batch]], weights: dict[str, float]) -> dict[str, list[float]]:
    lengths: dict[str, list[float]] = {}
    for noisy, clean in batches:
        twin = copy.deepcopy(method)
        twin.options = replace(twin.options, meta_scale="paper", **weights)
        twin.learn(noisy, clean)
        for part, parameters in twin.teacher.parts():
            lengths.setdefault(part, []).append(norm(_gradients(parameters)).item())
    return lengths


def _gradients(parameters: list[nn.Parameter]) -> list[Tensor]:
    return [torch.zeros_like(value) if value.grad is None else value.grad for value in parameters]
