"""The training step as its users meet it: records, repeatability, failures by name, one line per mistake."""

import csv
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
import torch

from emlc.records.artefacts import write_json
from emlc.records.errors import SuiteError
from emlc.records.record import read_record
from emlc.records.store import sound
from emlc.tasks.draw import load_task
from pipelines import train
from pipelines.profile.places import ROOT
from tests.stores import run_at, tiny_jobs, write_order
from tests.tiny import CLEAN_PER_CLASS, tiny_profile

METHODS = {
    **tiny_profile()["methods"],
    "diverging": {"label": "MLC", "implementation": "baselines.mlc", "training": {"lr": 1e30}},
}
SEEDS = [0, 1]


@pytest.fixture
def jobs(tmp_path):
    """A store with data and tasks."""
    return tiny_jobs(tmp_path, methods=METHODS, seeds=SEEDS, seeds_per_job=2)


@pytest.fixture(scope="module", params=["cross-entropy", "emlc-k5"])
def finished(request, tmp_path_factory):
    """A store in which one method's two runs are done in one process: the jobs and the method."""
    jobs = tiny_jobs(tmp_path_factory.mktemp("finished"), methods=METHODS, seeds=SEEDS, seeds_per_job=2)
    assert start(jobs, request.param) == 0
    return jobs, request.param


def start(jobs, method, seed=0):
    """Run the step on the cell that trains a run."""
    return train.main([str(write_order(jobs.cells.by_run[run_at(jobs, method, seed).id]))])


def record_of(jobs, method, seed=0):
    return read_record(run_at(jobs, method, seed).folder / "record.json")


def rows(path):
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def without_timing(record):
    return {key: value for key, value in record.items() if key not in ("timing", "sha256")}


def test_a_record_carries_what_backs_a_number(finished):
    jobs, method = finished
    order, record = run_at(jobs, method), record_of(jobs, method)
    axes = {"method": method, "dataset": "digits", "noise": "sym", "rate": 0.5, "seed": 0}
    names = {"label": METHODS[method]["label"], "title": "UCI digits", "profile": "tiny", "protocol": "paper"}
    assert record["run"] == axes | names
    assert (record["id"], record["config"]) == (order.id, order.identity)
    task = load_task(order.beside("tasks", order.identity["task"]) / "task.npz")
    assert record["task"] == {
        "sha256": task.sha256,
        "effective_rate": task.effective_rate,
        "clean": 5 * CLEAN_PER_CLASS,
        "validation": 5 * CLEAN_PER_CLASS,
        "validation_only": 0,
        "noisy": 65,
        "warnings": list(task.warnings),
        "clean_trained_on": 5 * CLEAN_PER_CLASS if method != "cross-entropy" else 0,
    }
    assert record["data"] == {"sha256": task.data_sha256, "released": "1998-07"}
    assert record["versions"]["torch"] == torch.__version__
    assert record["device"].startswith("cpu (")
    assert (record["status"], len(record["epochs"])) == ("completed", 2)
    assert len(record["timing"]["seconds_per_epoch"]) == 2
    assert 0 < sum(record["timing"]["seconds_per_epoch"]) < record["timing"]["total_seconds"]
    assert record["timing"]["peak_memory_bytes"] > 10_000_000


def test_the_selected_epoch_is_the_best_on_the_clean_set(finished):
    record = record_of(*finished)
    epochs, selected = record["epochs"], record["selected_epoch"]
    assert epochs[selected]["validation_accuracy"] == max(row["validation_accuracy"] for row in epochs)
    accuracies = [row["test_accuracy"] for row in epochs]
    assert record["test_accuracy"] == {
        "best-clean": accuracies[selected],
        "last": accuracies[-1],
        "best-test": max(accuracies),
        "mean-last-5": pytest.approx(sum(accuracies) / 2),
    }


def test_histories_say_what_the_record_says(finished):
    jobs, method = finished
    folder, epochs = run_at(jobs, method).folder, record_of(jobs, method)["epochs"]
    history = rows(folder / "history.csv")
    assert [{key: float(value) for key, value in row.items()} for row in history] == epochs
    steps = rows(folder / "steps.csv")
    assert len(steps) == 2 * (1 if method == "emlc-k5" else 5)
    assert [int(row["step"]) for row in steps] == list(range(len(steps)))
    for epoch in range(2):
        losses = [float(row["student_loss"]) for row in steps if row["epoch"] == str(epoch)]
        assert sum(losses) / len(losses) == pytest.approx(epochs[epoch]["student_loss"])


def test_phases_may_measure_different_things():
    text = train.as_csv(
        [{"step": 0, "loss": 1.5}, {"step": 1, "loss": 1.0, "gate": 0.5}, {"step": 2, "gate": 0.25}], []
    )
    assert text == "step,loss,gate\n0,1.5,\n1,1.0,0.5\n2,,0.25\n"


def test_alone_or_in_one_process_a_run_gives_the_same_bytes(finished, tmp_path):
    jobs, method = finished
    alone = tiny_jobs(tmp_path, methods=METHODS, seeds=SEEDS, seeds_per_job=1)
    for seed in reversed(SEEDS):
        assert start(alone, method, seed) == 0
        one, other = (run_at(place, method, seed) for place in (jobs, alone))
        assert one.id == other.id
        assert without_timing(record_of(jobs, method, seed)) == without_timing(record_of(alone, method, seed))
        for name in ("history.csv", "steps.csv"):
            assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes()
    first, second = (record_of(jobs, method, seed) for seed in SEEDS)
    assert first["epochs"][0]["student_loss"] != second["epochs"][0]["student_loss"]


def test_what_is_in_the_store_is_not_trained_again(finished, monkeypatch):
    jobs, method = finished
    monkeypatch.setattr("pipelines.training.runs.train_recipe", None)
    before = record_of(jobs, method)
    assert start(jobs, method) == 0
    assert record_of(jobs, method) == before


def test_the_profile_s_threads_compute_and_what_torch_raises_is_a_failed_run(tmp_path, monkeypatch):
    def out_of_memory(*arguments):
        raise RuntimeError(f"{torch.get_num_threads()} threads:\n  no memory")

    monkeypatch.setattr("pipelines.training.runs.train_recipe", out_of_memory)
    jobs = tiny_jobs(tmp_path, threads=2)
    assert start(jobs, "cross-entropy") == 0
    record = record_of(jobs, "cross-entropy")
    assert record["error"] == "RuntimeError: 2 threads: no memory"
    assert record["config"]["threads"] == 2


def test_a_defect_of_the_suite_is_no_failed_run(jobs, monkeypatch):
    def defect(*arguments):
        raise KeyError("oops")

    monkeypatch.setattr("pipelines.training.runs.train_recipe", defect)
    with pytest.raises(KeyError, match="oops"):
        start(jobs, "cross-entropy")
    assert not (jobs.results / "runs").exists()


def test_a_damaged_task_does_not_cost_the_other_seeds_their_runs(jobs):
    order = run_at(jobs, "cross-entropy", 0)
    damaged = order.beside("tasks", order.identity["task"]) / "task.npz"
    damaged.write_bytes(damaged.read_bytes()[:-99])
    with pytest.raises(SuiteError, match=f"{damaged} was changed; delete .* and start the workflow again") as caught:
        start(jobs, "cross-entropy")
    assert "\n" not in str(caught.value)
    assert not order.folder.exists()
    assert record_of(jobs, "cross-entropy", 1)["status"] == "completed"


def test_a_diverging_seed_leaves_the_next_one_its_run(jobs, monkeypatch, capsys):
    from pipelines.training import runs

    def fail_seed_0(recipe, *arguments):
        if recipe.seed == 0:
            raise RuntimeError("no memory")
        return trained(recipe, *arguments)

    trained = runs.train_recipe
    monkeypatch.setattr(runs, "train_recipe", fail_seed_0)
    assert start(jobs, "cross-entropy") == 0
    assert [record_of(jobs, "cross-entropy", seed)["status"] for seed in SEEDS] == ["failed", "completed"]
    assert f"run {run_at(jobs, 'cross-entropy').folder} failed: RuntimeError: no memory" in capsys.readouterr().err


@pytest.fixture
def signal_in_step(monkeypatch):
    """Let the n-th training step of this process be interrupted by a signal."""
    from emlc.engine.streams import Stream

    def interrupt(number, step):
        calls, draw = iter(range(1, 10_000)), Stream.next

        def drawn(self):
            if next(calls) == 2 * step:  # one noisy and one clean batch
                os.kill(os.getpid(), number)
            return draw(self)

        monkeypatch.setattr(Stream, "next", drawn)

    return interrupt


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_step_at_hand_and_the_next_start_goes_on(
    number, status, jobs, tmp_path, signal_in_step, capsys
):
    handlers = [signal.getsignal(other) for other in (signal.SIGTERM, signal.SIGINT)]
    signal_in_step(number, 14)  # the fourth of the second seed
    assert start(jobs, "cross-entropy") == status
    assert [signal.getsignal(other) for other in (signal.SIGTERM, signal.SIGINT)] == handlers
    one, other = (run_at(jobs, "cross-entropy", seed) for seed in SEEDS)
    kept = jobs.results / "checkpoints" / f"{other.id}.pt"
    told = capsys.readouterr().err
    assert told == f"{number.name}: stopped as asked; the next start goes on from {kept}\n"
    first = (one.folder / "record.json").read_bytes()
    assert not other.folder.exists()
    assert start(jobs, "cross-entropy") == 0
    alone = tiny_jobs(tmp_path / "alone", methods=METHODS, seeds=SEEDS)
    start(alone, "cross-entropy", 1)
    record = record_of(jobs, "cross-entropy", 1)
    assert without_timing(record) == without_timing(record_of(alone, "cross-entropy", 1))
    assert record["timing"]["resumed"] == 1
    assert (one.folder / "record.json").read_bytes() == first


def test_a_checkpoint_of_another_run_is_useless(jobs, signal_in_step, caplog):
    signal_in_step(signal.SIGTERM, 3)
    assert start(jobs, "cross-entropy") == 143
    one, other = (jobs.results / "checkpoints" / f"{run_at(jobs, 'cross-entropy', s).id}.pt" for s in SEEDS)
    shutil.copy(one, other)
    assert start(jobs, "cross-entropy") == 0
    assert any("is of another run (id differ); the run starts anew" in line for line in caplog.messages)
    assert [record_of(jobs, "cross-entropy", seed)["timing"]["resumed"] for seed in SEEDS] == [1, 0]


def test_a_run_that_diverges_fails_by_name_and_leaves_a_record(jobs):
    argv = [str(write_order(jobs.cells.by_run[run_at(jobs, "diverging").id]))]
    command = [sys.executable, "-m", "pipelines.train", *argv]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0  # its record tells
    line = next(line for line in done.stderr.splitlines() if line.startswith("run "))
    assert re.fullmatch(
        r"run .*/runs/[0-9a-f]{20} failed: DivergenceError: \w+ is (nan|inf) in epoch 0, step 0; .*", line
    )
    assert "Traceback" not in done.stderr
    order, record = run_at(jobs, "diverging"), record_of(jobs, "diverging")
    assert record["status"] == "failed"
    assert line.endswith(record["error"])
    assert (order.folder / "history.csv").read_text() == "epoch\n"
    assert (order.folder / "steps.csv").read_text() == "step\n"
    assert sound(order)
    assert not list((jobs.results / "checkpoints").glob("*.pt"))
    before = (order.folder / "record.json").read_bytes()
    shutil.rmtree(order.folder)
    start(jobs, "diverging")
    assert (order.folder / "record.json").read_bytes() == before


def test_bad_input_is_one_line_and_writes_nothing(jobs, tmp_path):
    for argv, message in [
        ([str(tmp_path / "none.json")], r"cannot read .*none\.json"),
        ([str(write_order(jobs.steps.data("digits")))], "an order for data, and this step makes cells"),
        ([str(edited(jobs))], "was edited: it asks for cells"),
    ]:
        with pytest.raises(SuiteError, match=message) as caught:
            train.main(argv)
        assert "\n" not in str(caught.value)
    assert not (jobs.results / "runs").exists()


def edited(jobs):
    order = jobs.cells.by_run[run_at(jobs, "cross-entropy").id]
    (first, *others) = order.identity["runs"]
    identity = {"runs": [{**first, "crop_padding": 3}, *others]}
    write_json(order.file, {**order.document, "identity": identity})
    return order.file


def test_a_gpu_that_is_not_there_is_refused(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    jobs = tiny_jobs(tmp_path, device="cuda")
    with pytest.raises(SuiteError, match="asks for device cuda but PyTorch sees no GPU"):
        start(jobs, "cross-entropy")
    assert not (jobs.results / "runs").exists()


def mine(tmp_path, **method):
    method = {"label": "Mine", "implementation": "baselines.cross_entropy"} | method
    return tiny_jobs(tmp_path, methods={"mine": method})


def test_weights_that_overflow_in_the_last_step_fail_by_name(tmp_path):
    """The loss of the only step is finite, what it does to the weights is not."""
    jobs = mine(tmp_path, training={"lr": 1e25, "epochs": 1, "batch_size": 100})
    assert start(jobs, "mine") == 0
    assert "loss is nan in epoch 0" in record_of(jobs, "mine")["error"]


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"implementation": "baselines.mlc", "options": {"teacher_lrr": 0.1}}, "teacher_lrr"),
        ({"implementation": "baselines.mlc", "options": {"teacher_lr": None}}, "teacher_lr"),
        ({"implementation": "baselines.mlc", "options": {"teacher_lr": "fast"}}, "teacher_lr"),
        ({"implementation": "emlc.method", "options": {"look_ahead": 0}}, "look_ahead"),
        ({"implementation": "emlc.method", "options": {"corruption": "adverserial"}}, "corruption"),
    ],
)
def test_a_method_that_cannot_be_built_is_a_failed_run_so_that_the_others_finish(tmp_path, method, message):
    jobs = mine(tmp_path, **method)
    assert start(jobs, "mine") == 0
    record = record_of(jobs, "mine")
    assert record["status"] == "failed"
    assert message in record["error"]


def test_a_method_that_does_not_exist_is_told_before_anything_is_run(tmp_path):
    with pytest.raises(SuiteError, match=r"there is no module baselines\.nothing in this repository"):
        mine(tmp_path, implementation="baselines.nothing")
