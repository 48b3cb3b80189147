"""Probes: observing changes nothing, and what is noted is what the networks say."""

import math

import numpy as np
import pytest
import torch

from emlc.engine.run import build_method
from emlc.records.errors import SuiteError
from emlc.records.record import read_record
from pipelines.evidence.observation import Observer, gradient_norms
from pipelines.evidence.probes import load_probe
from pipelines.probe import observe
from pipelines.training.runs import opened
from tests.pipelines.evidence import evidence_jobs, probe_of, run_of
from tests.tiny import tiny_profile

METHODS = ("emlc-k1", "emlc-k5", "mlc")


@pytest.fixture(scope="module")
def watched(trained):
    return {method: probe_of(trained, method) for method in METHODS}


@pytest.mark.parametrize("method", METHODS)
def test_observing_changes_nothing_of_the_run(watched, trained, method):
    record = read_record(trained.steps.run(run_of(method)).folder / "record.json")
    assert watched[method].history == record["epochs"]


@pytest.mark.parametrize("method", METHODS)
def test_recovery_is_that_of_the_soft_labels(watched, method):
    probe = watched[method]
    given, true = probe.arrays["noisy_labels"], probe.arrays["true_labels"]
    right = probe.arrays["soft_labels"].argmax(axis=1) == true
    wrong = given != true
    assert 0 < wrong.sum() < len(wrong)
    assert probe.epochs[-1]["recovery"] == pytest.approx(100 * right.mean(), abs=1e-5)
    assert probe.epochs[-1]["wrong_recovery"] == pytest.approx(100 * right[wrong].mean(), abs=1e-5)
    np.testing.assert_allclose(probe.arrays["soft_labels"].sum(axis=1), 1, rtol=1e-5)
    assert [row["epoch"] for row in probe.epochs] == [0, 1]


def test_only_a_teacher_with_a_gate_has_weights_and_two_gradients(watched):
    emlc, _, mlc = watched.values()
    assert emlc.arrays["retained"].shape == emlc.arrays["noisy_labels"].shape
    assert ((emlc.arrays["retained"] > 0) & (emlc.arrays["retained"] < 1)).all()
    norms = {"supervised_body", "supervised_gate", "meta_body", "meta_gate"}
    assert set(emlc.epochs[0]) - set(mlc.epochs[0]) == norms
    assert all(0 < row[name] < math.inf for row in emlc.epochs for name in norms)
    assert mlc.arrays["retained"].shape == (0,)


def test_retained_labels_are_mixed_in_with_their_weight(watched):
    """q of the given label is at least its weight, and 1 - w is shared by the teacher's prediction."""
    arrays = watched["emlc-k1"].arrays
    rows = np.arange(len(arrays["retained"]))
    of_given = arrays["soft_labels"][rows, arrays["noisy_labels"]]
    assert (of_given > arrays["retained"]).all()
    assert of_given.max() < 1


def test_observing_computes_in_the_run_s_precision(tmp_path, monkeypatch):
    seen = []
    for name in ("after_epoch", "corrected", "embeddings"):
        original = getattr(Observer, name)

        def noted(*arguments, original=original):
            seen.append(torch.backends.cuda.matmul.fp32_precision)
            return original(*arguments)

        monkeypatch.setattr(Observer, name, noted)
    jobs = evidence_jobs(tmp_path, training={**tiny_profile()["training"], "precision": "tf32"})
    observe(jobs.steps.probe(run_of("mlc")))
    assert seen == ["tf32"] * 6  # two epochs, whose shares take corrected labels; then both once more
    assert torch.backends.cuda.matmul.fp32_precision != "tf32"


def test_a_method_that_corrects_nothing_is_refused():
    class Nothing:
        pass

    observer = Observer.__new__(Observer)
    with pytest.raises(SuiteError, match="Nothing corrects no labels"):
        observer.corrected(Nothing())


def test_something_else_is_no_probe(trained):
    with pytest.raises(SuiteError, match=r"arrays\.npz"):
        load_probe(trained.steps.data("digits").folder / "arrays.npz")


def test_gradient_halves_by_one_real_step(trained):
    """The noted norms come from steps in which the other half of equation 12 has no weight."""
    arrays, _, task, recipe = opened(trained.steps.run(run_of("emlc-k1")))
    method = build_method(recipe, task, arrays, torch.device("cpu"))
    method.begin_epoch(0)
    before = [value.clone() for value in method.teacher.parameters()], method.noisy.position
    norms = gradient_norms(method)
    assert all(torch.equal(*pair) for pair in zip(method.teacher.parameters(), before[0], strict=True))
    assert method.noisy.position == before[1]
    assert norms["supervised_gate"] > norms["meta_gate"] > 0
