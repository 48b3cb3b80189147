"""Which methods train on clean labels: those that others in their place train otherwise."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from emlc.engine import trial
from pipelines.evidence.supervision import clean_labels
from tests.tiny import variants

OTHER = replace(trial.TASK, clean_labels=np.roll(trial.TASK.clean_labels, 1))


def learned(tried):
    """What the reported model says of some images, after all phases."""
    method = tried.method()
    for epoch in range(tried.epochs):
        method.begin_epoch(epoch)
        for _ in range(method.steps()):
            method.step()
        method.end_epoch(epoch)
    return method.logits(torch.linspace(-1, 1, 3 * 64).view(3, 1, 8, 8))


@pytest.mark.parametrize(("implementation", "options"), variants().values(), ids=variants())
def test_a_method_trains_on_clean_labels_if_others_change_what_it_learns(implementation, options, monkeypatch):
    tried = trial.Trial(implementation, options)
    before = learned(tried)
    monkeypatch.setattr(trial, "TASK", OTHER)
    changed = not torch.equal(before, learned(tried))
    record = {"config": {"implementation": implementation, "options": options}, "task": {"clean": 15, "validation": 9}}
    said = clean_labels(record, "best-clean")
    assert said == {"given": 15, "trained": 15 if changed else 0, "selected": 9}


def test_of_a_user_s_own_method_nothing_is_known():
    record = {"config": {"implementation": "mine.method", "options": {}}, "task": {"clean": 15, "validation": 9}}
    assert clean_labels(record, "last") == {"given": 15, "trained": None, "selected": 0}
