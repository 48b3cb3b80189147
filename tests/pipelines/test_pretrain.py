"""The pretraining step, and runs that start from what it makes."""

import copy
import itertools
import json
import os
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch

from emlc.data import open_dataset
from emlc.data.store import load_arrays, save_arrays
from emlc.engine import pretraining
from emlc.engine.run import build_method
from emlc.models import build_model
from emlc.models.checkpoint import load_encoder, save_encoder
from emlc.records.artefacts import file_digest, read_json
from emlc.records.errors import DivergenceError, Interrupted, SuiteError
from emlc.records.record import COMPLETED
from emlc.tasks.draw import save_task
from pipelines.experiment import build_recipe, execute
from pipelines.inject import draw_task
from pipelines.machine.interrupts import Keep
from pipelines.metagrad import prepared
from pipelines.pretrain import main, pretrain_dataset
from pipelines.probe import observe
from pipelines.profile.load import validated
from pipelines.profile.settings import Run, dataset_options, encoder_file, pretraining_spec, run_spec
from tests.tiny import ROOT, tiny_arrays, tiny_profile, write_data, write_yaml

CPU = torch.device("cpu")
RUN = Run("emlc-k5", "digits", "sym", 0.5, 0)


def profile(**block):
    """The tiny profile, started from SimCLR, but for Cross-Entropy."""
    settings = copy.deepcopy(tiny_profile(initialisation="simclr"))
    recipe = {"epochs": 2, "batch_size": 16, "lr": 0.05, "warm_up_epochs": 1}
    settings["datasets"]["digits"]["pretraining"] = block or recipe
    settings["methods"]["cross-entropy"]["initialisation"] = "scratch"
    return settings


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data") / "digits.npz")


@pytest.fixture(scope="module")
def encoder(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("pretrained") / "digits.pt"
    pretrain_dataset(validated(profile()), "digits", data, path)
    return path


@pytest.fixture
def task(data, tmp_path):
    settings = validated(profile())
    save_task(draw_task(settings, *load_arrays(data), RUN), tmp_path / "task.npz")
    return tmp_path / "task.npz"


def tensors(path):
    return torch.load(path, weights_only=True)["model"]


def test_same_bytes_twice(data, encoder, tmp_path):
    record = pretrain_dataset(validated(profile()), "digits", data, tmp_path / "again.pt")
    assert (tmp_path / "again.pt").read_bytes() == encoder.read_bytes()
    again = pretrain_dataset(validated(profile()), "digits", data, tmp_path / "again.pt")
    assert record.pop("timing") != again.pop("timing")
    assert record == again


def test_checkpoint_and_record(data, encoder, tmp_path):
    settings = write_yaml(tmp_path / "profile.yaml", profile())
    out = tmp_path / "deep" / "digits.pt"
    assert main(["--config", str(settings), "--dataset", "digits", "--data", str(data), "--out", str(out)]) == 0
    record = read_json(tmp_path / "deep" / "digits.json")
    assert record["checkpoint"]["sha256"] == file_digest(out, "sha256") == file_digest(encoder, "sha256")
    assert record["data"]["sha256"] == load_arrays(data)[1]
    assert record["config"]["pretraining"] == {"epochs": 2, "batch_size": 16, "lr": 0.05, "warm_up_epochs": 1}
    assert (record["title"], record["seed"], record["device"].split()[0]) == ("UCI digits", 0, "cpu")
    assert len(record["losses"]) == len(record["timing"]["seconds_per_epoch"]) == 2
    content = torch.load(out, weights_only=True)
    assert content["epoch"] == 2
    assert content["opt"]["data"] == record["data"]
    assert load_encoder(out, build_model("cnn-small", 7, 1, torch.Generator(), width=4)) == 18


def test_a_signal_ends_the_step_at_hand_and_the_next_start_goes_on(data, encoder, tmp_path, monkeypatch, capsys):
    out, kept = tmp_path / "digits.pt", tmp_path / "kept"
    argv = ["--config", str(write_yaml(tmp_path / "profile.yaml", profile())), "--dataset", "digits"]
    argv += ["--data", str(data), "--out", str(out), "--checkpoints", str(kept)]
    steps, step = itertools.count(1), pretraining._step

    def signalled(*arguments):
        if next(steps) == 7:  # the second of the second epoch
            os.kill(os.getpid(), signal.SIGTERM)
        return step(*arguments)

    monkeypatch.setattr(pretraining, "_step", signalled)
    assert main(argv) == 143
    goes_on = f"stopped as asked; the next start goes on from {kept / 'digits.pt'}\n"
    assert capsys.readouterr().err == f"SIGTERM: {goes_on}"
    assert not out.exists()
    assert main(argv) == 0
    assert next(steps) == 11  # two epochs of five
    assert out.read_bytes() == encoder.read_bytes()
    timing = read_json(tmp_path / "digits.json")["timing"]
    assert (timing["resumed"], len(timing["seconds_per_epoch"])) == (1, 2)
    assert timing["total_seconds"] > sum(timing["seconds_per_epoch"])


def test_a_checkpoint_is_of_one_pretraining(data, tmp_path, caplog, monkeypatch):
    def start(stopped, **changes):
        settings = validated(profile(**{"epochs": 2, "batch_size": 16, "lr": 0.05, "warm_up_epochs": 1, **changes}))
        keep = Keep(tmp_path / "kept.pt", lambda: stopped)
        return pretrain_dataset(settings, "digits", data, tmp_path / "out.pt", keep)["timing"]["resumed"]

    with pytest.raises(Interrupted):
        start(True)
    assert start(False, lr=0.06) == 0
    assert "is of another run (config differ); the run starts anew" in caplog.messages[0]
    monkeypatch.setattr("pipelines.pretrain.sources", lambda _: ["README.md"])
    assert start(False, lr=0.06) == 0
    assert "is of another run (sources differ); the run starts anew" in caplog.messages[1]


def test_labels_play_no_part(encoder, tmp_path):
    arrays = tiny_arrays()
    arrays.train_labels[:] = np.roll(arrays.train_labels, 7)
    save_arrays(tmp_path / "rolled.npz", arrays, "digits")
    pretrain_dataset(validated(profile()), "digits", tmp_path / "rolled.npz", tmp_path / "rolled.pt")
    rolled = tensors(tmp_path / "rolled.pt")
    assert all(torch.equal(tensor, rolled[name]) for name, tensor in tensors(encoder).items())


def test_student_and_teacher_start_from_the_encoder_with_classifiers_of_their_own(data, encoder):
    settings = validated(profile())
    dataset = open_dataset("digits", dataset_options(settings, "digits"))
    arrays, checksum = load_arrays(data)
    drawn = draw_task(settings, arrays, checksum, RUN)
    recipe = build_recipe(run_spec(settings, RUN), dataset, 0, encoder)
    method = build_method(recipe, drawn, arrays, CPU)
    student, teacher = method.student.state_dict(), method.teacher.backbone.state_dict()
    scratch = build_method(build_recipe(run_spec(settings, RUN), dataset, 0), drawn, arrays, CPU).student.state_dict()
    pretrained = {name.removeprefix("encoder.module."): tensor for name, tensor in tensors(encoder).items()}
    for name, tensor in student.items():
        if name.startswith("classifier."):
            assert not torch.equal(tensor, teacher[name])
            assert torch.equal(tensor, scratch[name])
        else:
            assert torch.equal(tensor, teacher[name])
            assert torch.equal(tensor, pretrained[name])
    assert not torch.equal(student["conv1.weight"], scratch["conv1.weight"])


def test_a_run_s_record_names_its_encoder(data, encoder, task):
    settings = validated(profile())
    content, _ = execute(settings, RUN, data, task, encoder)
    assert content["status"] == COMPLETED
    assert content["pretrained"] == {"sha256": file_digest(encoder, "sha256")}
    assert content["config"]["initialisation"] == "simclr"
    assert content["config"]["pretraining"]["epochs"] == 2
    scratch, _ = execute(settings, RUN._replace(method="cross-entropy"), data, task)
    assert scratch["pretrained"] is None
    assert scratch["config"]["initialisation"] == "scratch"
    assert "pretraining" not in scratch["config"]


@pytest.mark.parametrize("start", [execute, observe, partial(prepared, momentum=0.9)], ids=["run", "probe", "metagrad"])
def test_a_run_without_its_encoder_or_with_one_too_much_is_refused(start, data, encoder, task):
    settings = validated(profile())
    with pytest.raises(SuiteError, match="starts from SimCLR: give its encoder as --pretrained"):
        start(settings, RUN, data, task)
    with pytest.raises(SuiteError, match=r"starts from scratch: leave out --pretrained .*digits\.pt"):
        start(settings, RUN._replace(method="cross-entropy"), data, task, encoder)
    with pytest.raises(SuiteError, match=r"task\.npz is a task of seed 0, the run is of seed 1"):
        start(settings, RUN._replace(seed=1), data, task, encoder)


def test_fidelity_is_measured_from_the_encoder(data, encoder, task):
    student = prepared(validated(profile()), RUN, data, task, encoder, momentum=0.9)[0].student
    assert torch.equal(student.conv1.weight, tensors(encoder)["encoder.module.conv1.weight"].double())


def test_a_foreign_encoder_stops_the_run_instead_of_failing_it(data, task, tmp_path):
    other = build_model("cnn-small", 5, 1, torch.Generator(), width=8)
    save_encoder(tmp_path / "wide.pt", other, torch.nn.Sequential(), 1, {})
    for name, message in [("wide.pt", r"matches \d+ of the model's 18 encoder tensors"), ("none.pt", "cannot read")]:
        with pytest.raises(SuiteError, match=message):
            execute(validated(profile()), RUN, data, task, tmp_path / name)


def test_divergence_leaves_nothing_behind(data, tmp_path):
    settings = validated(profile(epochs=3, batch_size=16, lr=1e30, warm_up_epochs=0))
    with pytest.raises(DivergenceError):
        pretrain_dataset(settings, "digits", data, tmp_path / "out" / "digits.pt")
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_of_one_s_own_needs_no_training(data, tmp_path):
    settings = validated(profile(checkpoint="ckpt/simclr.pth"))
    assert encoder_file(settings, "digits") == "ckpt/simclr.pth"
    assert run_spec(settings, RUN)["pretraining"] == {"checkpoint": "ckpt/simclr.pth"}
    with pytest.raises(SuiteError, match=r"nothing to pretrain: datasets\.digits\.pretraining names a checkpoint"):
        pretrain_dataset(settings, "digits", data, tmp_path / "digits.pt")
    assert encoder_file(validated(profile()), "digits") == "results/pretrained/tiny/digits.pt"


def test_what_decides_an_encoder_and_a_run():
    one, two = validated(profile()), validated(profile(epochs=3, batch_size=16))
    assert pretraining_spec(one, "digits") != pretraining_spec(two, "digits")
    assert run_spec(one, RUN) != run_spec(two, RUN)
    plain = RUN._replace(method="cross-entropy")
    assert run_spec(one, plain) == run_spec(two, plain)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"epochs": 0}, r"config key datasets\.digits\.pretraining\.epochs: 0 is less than the minimum"),
        ({"lr": 0.5}, r"config key datasets\.digits\.pretraining: 'epochs' is a required property"),
        ({"checkpoint": "a.pth", "epochs": 3}, r"config key datasets\.digits\.pretraining: .* has too many properties"),
        ({"epochs": 3, "rate": 1}, r"config key datasets\.digits\.pretraining: .*'rate' was unexpected"),
        (None, r"config key datasets\.digits\.pretraining: missing, yet runs are to start from SimCLR"),
    ],
)
def test_wrong_blocks_are_refused_by_name(block, message):
    settings = profile()
    if block is None:
        del settings["datasets"]["digits"]["pretraining"]
    else:
        settings["datasets"]["digits"]["pretraining"] = block
    with pytest.raises(SuiteError, match=message):
        validated(settings)


def test_initialisation_is_required_and_known():
    settings = profile()
    settings["methods"]["emlc-k5"]["initialisation"] = "imagenet"
    with pytest.raises(SuiteError, match=r"config key methods\.emlc-k5\.initialisation: 'imagenet' is not one of"):
        validated(settings)
    with pytest.raises(SuiteError, match="'initialisation' is a required property"):
        validated({key: value for key, value in profile().items() if key != "initialisation"})


def test_command_line_from_pretraining_to_record(data, task, tmp_path):
    settings = write_yaml(tmp_path / "profile.yaml", profile())
    encoder, common = tmp_path / "digits.pt", ["--config", str(settings), "--dataset", "digits", "--data", str(data)]
    pretraining = ["pipelines.pretrain", *common, "--out", str(encoder), "--record", str(tmp_path / "record.json")]
    training = ["pipelines.train", *common, "--task", str(task), "--method", "emlc-k5", "--noise", "sym"]
    training += ["--rate", "0.5", "--seed", "0", "--pretrained", str(encoder), "--out", str(tmp_path / "run")]
    for command in (pretraining, training):
        done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["pretrained"]["sha256"] == read_json(tmp_path / "record.json")["checkpoint"]["sha256"]
    unknown = ["pipelines.pretrain", *common, "--out", str(encoder), "--dataset", "emnist"]
    done = subprocess.run([sys.executable, "-m", *unknown], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "unknown dataset 'emnist'" in done.stderr
