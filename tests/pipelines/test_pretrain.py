"""The pretraining step, and runs that start from what it makes."""

import itertools
import os
import shutil
import signal

import numpy as np
import pytest
import torch

from emlc.data.store import load_arrays
from emlc.engine import pretraining
from emlc.engine.run import build_method
from emlc.models import build_model
from emlc.models.checkpoint import load_encoder, save_encoder
from emlc.records.artefacts import file_digest, read_json
from emlc.records.errors import DivergenceError, SuiteError
from emlc.records.record import COMPLETED, read_record
from emlc.records.store import sound
from pipelines.pretrain import main
from pipelines.train import train_run
from pipelines.training.runs import build_recipe, opened
from tests.stores import run_at, tiny_jobs, write_order
from tests.tiny import tiny_arrays, tiny_profile

CPU = torch.device("cpu")
RECIPE = {"epochs": 2, "batch_size": 16, "lr": 0.05, "warm_up_epochs": 1}


def jobs_of(folder, arrays=None, **block):
    """The tiny profile, started from SimCLR, but for Cross-Entropy."""
    tiny = tiny_profile()
    methods = tiny["methods"] | {"cross-entropy": {**tiny["methods"]["cross-entropy"], "initialisation": "scratch"}}
    digits = tiny["datasets"]["digits"] | {"pretraining": block or RECIPE}
    return tiny_jobs(folder, arrays, initialisation="simclr", methods=methods, datasets={"digits": digits})


def pretrained(jobs):
    """The encoder's order, fulfilled."""
    order = jobs.steps.encoder("digits")
    assert main([str(write_order(order))]) == 0
    return order


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """A store with an encoder."""
    jobs = jobs_of(tmp_path_factory.mktemp("pretrained"))
    pretrained(jobs)
    return jobs


@pytest.fixture(scope="module")
def encoder(jobs):
    return jobs.steps.encoder("digits").folder / "encoder.pt"


def tensors(path):
    return torch.load(path, weights_only=True)["model"]


def test_same_bytes_twice_and_a_record(jobs, encoder, tmp_path):
    again = pretrained(jobs_of(tmp_path))
    assert (again.folder / "encoder.pt").read_bytes() == encoder.read_bytes()
    one, other = read_json(encoder.parent / "record.json"), read_json(again.folder / "record.json")
    assert one.pop("timing") != other.pop("timing")
    assert one == other
    assert one["checkpoint"]["sha256"] == file_digest(encoder, "sha256")
    assert one["data"]["sha256"] == load_arrays(jobs.steps.data("digits").folder / "arrays.npz")[1]
    assert one["config"]["pretraining"] == RECIPE
    assert (one["title"], one["seed"], one["device"].split()[0], len(one["losses"])) == ("UCI digits", 0, "cpu", 2)
    content = torch.load(encoder, weights_only=True)
    assert (content["epoch"], content["opt"]["data"]) == (2, one["data"])
    assert load_encoder(encoder, build_model("cnn-small", 7, 1, torch.Generator(), width=4)) == 18


@pytest.fixture
def signal_in_step(monkeypatch):
    """Let the n-th training step of this process be interrupted; returns the counter of steps."""
    steps, step = itertools.count(1), pretraining._step

    def interrupt(at):
        def signalled(*arguments):
            if next(steps) == at:
                os.kill(os.getpid(), signal.SIGTERM)
            return step(*arguments)

        monkeypatch.setattr(pretraining, "_step", signalled)
        return steps

    return interrupt


def test_a_signal_ends_the_step_at_hand_and_the_next_start_goes_on(encoder, tmp_path, signal_in_step, capsys):
    jobs = jobs_of(tmp_path)
    order = jobs.steps.encoder("digits")
    steps = signal_in_step(7)  # the second of the second epoch
    assert main([str(write_order(order))]) == 143
    kept = jobs.results / "checkpoints" / f"{order.id}.pt"
    assert capsys.readouterr().err == f"SIGTERM: stopped as asked; the next start goes on from {kept}\n"
    assert not sound(order)
    assert main([str(order.file)]) == 0
    assert next(steps) == 11  # two epochs of five
    assert (order.folder / "encoder.pt").read_bytes() == encoder.read_bytes()
    timing = read_json(order.folder / "record.json")["timing"]
    assert (timing["resumed"], len(timing["seconds_per_epoch"])) == (1, 2)
    assert timing["total_seconds"] > sum(timing["seconds_per_epoch"])


def test_a_checkpoint_is_of_one_pretraining(tmp_path, signal_in_step, caplog):
    one, other = jobs_of(tmp_path), jobs_of(tmp_path, **{**RECIPE, "lr": 0.06})
    signal_in_step(7)
    assert main([str(write_order(one.steps.encoder("digits")))]) == 143
    kept = one.results / "checkpoints"
    shutil.copy(kept / f"{one.steps.encoder('digits').id}.pt", kept / f"{other.steps.encoder('digits').id}.pt")
    record = read_json(pretrained(other).folder / "record.json")
    assert record["timing"]["resumed"] == 0
    assert "is of another run (id differ); the run starts anew" in caplog.messages[-1]


def test_labels_play_no_part(encoder, tmp_path):
    arrays = tiny_arrays()
    arrays.train_labels[:] = np.roll(arrays.train_labels, 7)
    rolled = tensors(pretrained(jobs_of(tmp_path, arrays)).folder / "encoder.pt")
    assert all(torch.equal(tensor, rolled[name]) for name, tensor in tensors(encoder).items())


def test_student_and_teacher_start_from_the_encoder_with_classifiers_of_their_own(jobs, encoder):
    order = run_at(jobs, "emlc-k5")
    arrays, _, task, recipe = opened(order)
    method = build_method(recipe, task, arrays, CPU)
    student, teacher = method.student.state_dict(), method.teacher.backbone.state_dict()
    scratch = build_method(build_recipe(order.identity), task, arrays, CPU).student.state_dict()
    loaded = {name.removeprefix("encoder.module."): tensor for name, tensor in tensors(encoder).items()}
    for name, tensor in student.items():
        if name.startswith("classifier."):
            assert not torch.equal(tensor, teacher[name])
            assert torch.equal(tensor, scratch[name])
        else:
            assert torch.equal(tensor, teacher[name])
            assert torch.equal(tensor, loaded[name])
    assert not torch.equal(student["conv1.weight"], scratch["conv1.weight"])


def test_a_run_s_record_names_its_encoder(jobs, encoder):
    records = {}
    for method in ("emlc-k5", "cross-entropy"):
        order = run_at(jobs, method)
        train_run(order, 10, lambda: False)
        records[method] = read_record(order.folder / "record.json")
    record, scratch = records["emlc-k5"], records["cross-entropy"]
    assert record["status"] == COMPLETED
    assert record["pretrained"] == {"sha256": file_digest(encoder, "sha256")}
    assert record["config"]["encoder"] == {"id": jobs.steps.encoder("digits").id}
    assert scratch["pretrained"] is None
    assert (scratch["config"]["initialisation"], scratch["config"]["encoder"]) == ("scratch", None)


def test_a_run_without_its_encoder_is_refused(tmp_path):
    order = run_at(jobs_of(tmp_path), "emlc-k5")
    with pytest.raises(SuiteError, match="is not there, or not whole"):
        opened(order)


def test_an_encoder_of_one_s_own_needs_no_training_and_is_part_of_the_run(tmp_path):
    path = tmp_path / "own.pt"
    save_encoder(path, build_model("cnn-small", 5, 1, torch.Generator(), width=4), torch.nn.Sequential(), 1, {})
    jobs = jobs_of(tmp_path, checkpoint=str(path))
    assert jobs.steps.encoder("digits") is None
    order = run_at(jobs, "emlc-k5")
    assert opened(order).recipe.pretrained == path
    save_encoder(path, build_model("cnn-small", 5, 1, torch.Generator(), width=4), torch.nn.Sequential(), 2, {})
    with pytest.raises(SuiteError, match=r"own\.pt has changed since this run was ordered"):
        opened(order)
    assert run_at(jobs_of(tmp_path, checkpoint=str(path)), "emlc-k5").id != order.id


def test_a_foreign_encoder_stops_the_run_instead_of_failing_it(tmp_path):
    path = tmp_path / "wide.pt"
    save_encoder(path, build_model("cnn-small", 5, 1, torch.Generator(), width=8), torch.nn.Sequential(), 1, {})
    with pytest.raises(SuiteError, match=r"matches \d+ of the model's 18 encoder tensors"):
        opened(run_at(jobs_of(tmp_path, checkpoint=str(path)), "emlc-k5"))
    with pytest.raises(SuiteError, match="cannot read"):
        jobs_of(tmp_path, checkpoint=str(tmp_path / "none.pt")).by_kind  # noqa: B018


def test_divergence_leaves_nothing_behind(tmp_path):
    jobs = jobs_of(tmp_path, epochs=3, batch_size=16, lr=1e30, warm_up_epochs=0)
    order = jobs.steps.encoder("digits")
    with pytest.raises(DivergenceError):
        main([str(write_order(order))])
    assert not order.folder.exists()
