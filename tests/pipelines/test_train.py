"""The training step as its users meet it: records, repeatability, failures by name, one line per mistake."""

import csv
import json
import math
import os
import re
import signal
import subprocess
import sys

import pytest
import torch

from emlc.records.errors import SuiteError
from emlc.records.record import read_record
from emlc.tasks.draw import load_task
from pipelines import aggregate, inject, table, train
from pipelines.profile.load import validated
from pipelines.profile.settings import ROOT, run_spec
from pipelines.profile.settings import Run as RunKey
from tests.tiny import CLEAN_PER_CLASS, tiny_profile, write_data, write_yaml

METHODS = {
    **tiny_profile()["methods"],
    "diverging": {"label": "MLC", "implementation": "baselines.mlc", "training": {"lr": 1e30}},
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A profile, its data and its tasks."""
    folder = tmp_path_factory.mktemp("workplace")
    write_yaml(folder / "profile.yaml", tiny_profile(methods=METHODS, seeds=[0, 1]))
    write_data(folder / "data.npz")
    for seed in (0, 1):
        inject.main(arguments(folder, seed=seed, out=folder / f"task{seed}.npz"))
    return folder


def arguments(folder, **changes):
    """Options by name; a list gives an option several values."""
    names = {"config": folder / "profile.yaml", "data": folder / "data.npz", "dataset": "digits", "noise": "sym"}
    names |= {"rate": 0.5, "seed": 0} | changes
    values = {name: value if isinstance(value, list) else [value] for name, value in names.items()}
    return [text for name, texts in values.items() for text in (f"--{name}", *map(str, texts))]


def run_arguments(folder, out, method="cross-entropy", seed=0, **changes):
    return arguments(
        folder, **{"method": method, "seed": seed, "task": folder / f"task{seed}.npz", "out": out} | changes
    )


def rows(path):
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="module", params=["cross-entropy", "emlc-k5"])
def finished(request, workplace):
    """One finished run: its method and its folder."""
    out = workplace / "finished" / request.param
    assert train.main(run_arguments(workplace, out, request.param)) == 0
    return request.param, out


def test_a_record_carries_what_backs_a_number(finished, workplace):
    method, out = finished
    record = read_record(out / "record.json")
    settings = validated(tiny_profile(methods=METHODS, seeds=[0, 1]))
    axes = {"method": method, "dataset": "digits", "noise": "sym", "rate": 0.5, "seed": 0}
    assert record["run"] == {**axes, "label": METHODS[method]["label"], "title": "UCI digits"}
    assert record["config"] == run_spec(settings, RunKey(**axes))
    task = load_task(workplace / "task0.npz")
    assert record["task"] == {
        "sha256": task.sha256,
        "effective_rate": task.effective_rate,
        "clean": 5 * CLEAN_PER_CLASS,
        "noisy": 65,
        "warnings": list(task.warnings),
    }
    assert record["data"] == {"sha256": task.data_sha256, "released": "1998-07"}
    assert record["versions"]["torch"] == torch.__version__
    assert record["device"].startswith("cpu (")
    assert (record["status"], len(record["epochs"])) == ("completed", 2)
    assert len(record["timing"]["seconds_per_epoch"]) == 2
    assert 0 < sum(record["timing"]["seconds_per_epoch"]) < record["timing"]["total_seconds"]
    assert record["timing"]["peak_memory_bytes"] > 10_000_000


def test_the_selected_epoch_is_the_best_on_the_clean_set(finished):
    record = read_record(finished[1] / "record.json")
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
    method, out = finished
    epochs = read_record(out / "record.json")["epochs"]
    history = rows(out / "history.csv")
    assert [{key: float(value) for key, value in row.items()} for row in history] == epochs
    steps = rows(out / "steps.csv")
    assert len(steps) == 2 * (1 if method == "emlc-k5" else 5)
    assert [int(row["step"]) for row in steps] == list(range(len(steps)))
    for epoch in range(2):
        losses = [float(row["student_loss"]) for row in steps if row["epoch"] == str(epoch)]
        assert sum(losses) / len(losses) == pytest.approx(epochs[epoch]["student_loss"])


def test_the_same_run_gives_the_same_bytes_apart_from_the_timing(finished, workplace, tmp_path):
    method, out = finished
    train.main(run_arguments(workplace, tmp_path / "again", method))
    for name in ("history.csv", "steps.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()
    texts = [(folder / "record.json").read_text() for folder in (out, tmp_path / "again")]
    one, other = (re.sub(r'(?s)"timing": \{.*?\n \}|"sha256": "[0-9a-f]{64}",\n "status"', "", text) for text in texts)
    assert one == other
    assert json.loads(texts[0])["fingerprint"] == json.loads(texts[1])["fingerprint"]


def test_another_seed_gives_another_record(finished, workplace, tmp_path):
    method, out = finished
    train.main(run_arguments(workplace, tmp_path, method, seed=1))
    one, other = read_record(out / "record.json"), read_record(tmp_path / "record.json")
    assert one["fingerprint"] != other["fingerprint"]
    assert one["epochs"][0]["student_loss"] != other["epochs"][0]["student_loss"]


def test_the_profile_s_threads_compute_and_what_torch_raises_is_a_failed_run(workplace, tmp_path, monkeypatch):
    def out_of_memory(*arguments):
        raise RuntimeError(f"{torch.get_num_threads()} threads:\n  no memory")

    monkeypatch.setattr("pipelines.experiment.train_recipe", out_of_memory)
    profile = write_yaml(tmp_path / "two.yaml", tiny_profile(threads=2))
    assert train.main(run_arguments(workplace, tmp_path / "out", config=profile)) == 1
    record = read_record(tmp_path / "out" / "record.json")
    assert record["error"] == "RuntimeError: 2 threads: no memory"
    assert record["config"]["threads"] == 2


def test_a_defect_of_the_suite_is_no_failed_run(workplace, tmp_path, monkeypatch):
    def defect(*arguments):
        raise KeyError("oops")

    monkeypatch.setattr("pipelines.experiment.train_recipe", defect)
    with pytest.raises(KeyError, match="oops"):
        train.main(run_arguments(workplace, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def seeds_in_one_process(folder, out, **changes):
    seeds, tasks = [0, 1], [folder / "task0.npz", folder / "task1.npz"]
    return run_arguments(folder, [out / "0", out / "1"], **{"seed": seeds, "task": tasks} | changes)


def without_timing(path):
    record = read_record(path)
    return {key: value for key, value in record.items() if key not in ("timing", "sha256")}


def test_seeds_that_share_a_process_give_what_each_gives_alone(finished, workplace, tmp_path):
    method, out = finished
    train.main(run_arguments(workplace, tmp_path / "alone", method, seed=1))
    assert train.main(seeds_in_one_process(workplace, tmp_path, method=method)) == 0
    for alone, shared in ((out, tmp_path / "0"), (tmp_path / "alone", tmp_path / "1")):
        assert without_timing(shared / "record.json") == without_timing(alone / "record.json")
        for name in ("history.csv", "steps.csv"):
            assert (shared / name).read_bytes() == (alone / name).read_bytes()
    timings = [read_record(tmp_path / seed / "record.json")["timing"] for seed in "01"]
    assert [timing["seeds_of_process"] for timing in timings] == [[0], [0, 1]]


def test_a_damaged_task_does_not_cost_the_other_seeds_their_runs(workplace, tmp_path):
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes((workplace / "task0.npz").read_bytes()[:-99])
    refused(seeds_in_one_process(workplace, tmp_path, task=[damaged, workplace / "task1.npz"]), r"damaged\.npz")
    assert not (tmp_path / "0").exists()
    assert read_record(tmp_path / "1" / "record.json")["status"] == "completed"


def test_a_diverging_seed_leaves_the_next_one_its_run(workplace, tmp_path, monkeypatch):
    from pipelines import experiment

    def fail_seed_0(recipe, *arguments):
        if recipe.seed == 0:
            raise RuntimeError("no memory")
        return trained(recipe, *arguments)

    trained = experiment.train_recipe
    monkeypatch.setattr(experiment, "train_recipe", fail_seed_0)
    assert train.main(seeds_in_one_process(workplace, tmp_path)) == 1
    assert [read_record(tmp_path / seed / "record.json")["status"] for seed in "01"] == ["failed", "completed"]


def test_seeds_tasks_and_folders_come_in_equal_numbers(workplace, tmp_path):
    refused(seeds_in_one_process(workplace, tmp_path, seed=[0]), "one task and one folder for each seed")
    assert not list(tmp_path.iterdir())


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
    number, status, workplace, tmp_path, signal_in_step, capsys
):
    argv = [*seeds_in_one_process(workplace, tmp_path), "--checkpoints", str(tmp_path / "kept")]
    handlers = [signal.getsignal(other) for other in (signal.SIGTERM, signal.SIGINT)]
    signal_in_step(number, 14)  # the fourth of the second seed
    assert train.main(argv) == status
    assert [signal.getsignal(other) for other in (signal.SIGTERM, signal.SIGINT)] == handlers
    told = capsys.readouterr().err
    kept = tmp_path / "kept/digits/sym-0.5/cross-entropy/seed1.pt"
    assert told == f"{number.name}: stopped as asked; the next start goes on from {kept}\n"
    first = (tmp_path / "0" / "record.json").read_bytes()
    assert not (tmp_path / "1").exists()
    assert train.main(argv) == 0
    train.main(run_arguments(workplace, tmp_path / "alone", seed=1))
    assert without_timing(tmp_path / "1" / "record.json") == without_timing(tmp_path / "alone" / "record.json")
    assert [read_record(tmp_path / seed / "record.json")["timing"]["resumed"] for seed in "01"] == [1, 1]
    assert json.loads(first)["epochs"] == read_record(tmp_path / "0" / "record.json")["epochs"]


def test_a_changed_setting_or_task_makes_a_checkpoint_useless(workplace, tmp_path, signal_in_step, caplog, monkeypatch):
    kept = ["--checkpoints", str(tmp_path / "kept")]
    signal_in_step(signal.SIGTERM, 3)
    assert train.main([*run_arguments(workplace, tmp_path / "out"), *kept]) == 143
    training = {**tiny_profile()["training"], "lr": 0.01}
    other = write_yaml(tmp_path / "other.yaml", tiny_profile(training=training))
    assert train.main([*run_arguments(workplace, tmp_path / "out", config=other), *kept]) == 0
    assert any("is of another run (config differ); the run starts anew" in line for line in caplog.messages)
    assert read_record(tmp_path / "out" / "record.json")["timing"]["resumed"] == 0
    monkeypatch.setattr("pipelines.experiment._source_digest", lambda: "edited")
    assert train.main([*run_arguments(workplace, tmp_path / "out", config=other), *kept]) == 0
    assert "(sources differ)" in caplog.messages[-1]


def test_a_failed_run_leaves_no_checkpoint(workplace, tmp_path):
    argv = [*run_arguments(workplace, tmp_path / "out", "diverging"), "--checkpoints", str(tmp_path / "kept")]
    assert train.main(argv) == 1
    assert not list((tmp_path / "kept").rglob("*.pt"))


def in_a_process(argv):
    command = [sys.executable, "-m", "pipelines.train", *argv]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_run_that_diverges_fails_by_name_and_leaves_a_record(workplace, tmp_path):
    done = in_a_process(run_arguments(workplace, tmp_path / "out", "diverging"))
    assert done.returncode == 1
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("run "))
    pattern = (
        r"run tiny/digits/sym-0\.5/diverging/seed0 failed: DivergenceError: \w+ is (nan|inf) in epoch 0, step 0; .*"
    )
    assert re.fullmatch(pattern, line)
    assert "Traceback" not in done.stderr
    record = read_record(tmp_path / "out" / "record.json")
    assert record["status"] == "failed"
    assert line.endswith(record["error"])
    assert (tmp_path / "out" / "history.csv").read_text() == "epoch\n"
    assert (tmp_path / "out" / "steps.csv").read_text() == "step\n"


def test_keep_going_turns_a_failed_run_into_a_finding(workplace, tmp_path, capsys):
    argv = run_arguments(workplace, tmp_path, "diverging")
    assert train.main([*argv, "--keep-going"]) == 0
    assert "run tiny/digits/sym-0.5/diverging/seed0 failed: DivergenceError" in capsys.readouterr().err
    assert read_record(tmp_path / "record.json")["status"] == "failed"


def test_a_failure_repeats_itself_byte_for_byte(workplace, tmp_path):
    for out in ("one", "two"):
        train.main(run_arguments(workplace, tmp_path / out, "diverging"))
    one, two = ((tmp_path / out / "record.json").read_bytes() for out in ("one", "two"))
    assert one == two


def test_a_failed_run_shows_in_the_table_and_leaves_the_others_alone(finished, workplace, tmp_path):
    """From training to the page: cross-entropy's cell is what it is without the failure beside it."""
    runs = tmp_path / "runs"
    methods = [finished[0], "diverging"]
    for method in methods:
        out = runs / f"digits/sym-0.5/{method}/seed0"
        train.main([*run_arguments(workplace, out, method), "--keep-going"])
    profile = write_yaml(tmp_path / "p.yaml", tiny_profile(methods={name: METHODS[name] for name in methods}))
    outputs = [f"--{name}={tmp_path / f'table.{name}'}" for name in ("csv", "json", "metrics")]
    aggregate.main(["--config", str(profile), "--runs", str(runs), *outputs])
    table.main([str(tmp_path / "table.json"), str(ROOT / "published/table1.csv"), "--out", str(tmp_path / "table.md")])
    accuracy = read_record(finished[1] / "record.json")["test_accuracy"]["best-clean"]
    cells = {row["method"]: row for row in rows(tmp_path / "table.csv")}
    assert float(cells[METHODS[finished[0]]["label"]]["mean"]) == pytest.approx(accuracy, abs=1e-4)
    assert (cells["MLC"]["mean"], cells["MLC"]["n_seeds"]) == ("", "0")
    page = (tmp_path / "table.md").read_text()
    assert re.search(rf"\| {re.escape(METHODS[finished[0]]['label'])} +\| \*\*{accuracy:.2f}\*\* +\|", page)
    assert re.search(r"\| MLC +\| failed +\|", page)
    assert re.search(r"- `digits/sym-0\.5/diverging/seed0`: DivergenceError: \w+ is (nan|inf) in epoch 0, step 0", page)


def refused(argv, message):
    with pytest.raises(SuiteError, match=message) as caught:
        train.main(argv)
    assert "\n" not in str(caught.value)


def test_bad_input_is_one_line_and_writes_nothing(workplace, tmp_path):
    out = tmp_path / "out"
    write_data(tmp_path / "other.npz", seed=1)
    (tmp_path / "short.npz").write_bytes((workplace / "data.npz").read_bytes()[:-999])
    (tmp_path / "task.npz").write_bytes((workplace / "task0.npz").read_bytes()[:-99])
    (tmp_path / "bad.yaml").write_text("seed: 3")
    for changes, message in [
        ({"method": "mlcc"}, "unknown method 'mlcc' in profile tiny; known: cross-entropy, emlc-k5, diverging"),
        ({"dataset": "emnist"}, "unknown dataset 'emnist' in profile tiny; known: digits"),
        ({"data": tmp_path / "none.npz"}, r"none\.npz"),
        ({"data": tmp_path / "short.npz"}, r"short\.npz is not a readable npz file"),
        ({"data": tmp_path / "other.npz"}, r"task0\.npz: it was made from data [0-9a-f]{64}, the data at hand is"),
        ({"task": tmp_path / "task.npz"}, r"task\.npz"),
        ({"task": workplace / "data.npz"}, r"data\.npz"),
        ({"config": tmp_path / "bad.yaml"}, "config key the profile"),
    ]:
        refused(run_arguments(workplace, out, **changes), message)
        assert not out.exists()


def test_a_gpu_that_is_not_there_is_refused(workplace, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    profile = write_yaml(tmp_path / "gpu.yaml", tiny_profile(methods=METHODS, device="cuda"))
    refused(run_arguments(workplace, tmp_path / "out", config=profile), "asks for device cuda but PyTorch sees no GPU")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "changes", [{"noise": "asym"}, {"noise": "bogus"}, {"rate": 0.9}, {"rate": 1.5}, {"rate": math.nan}, {"seed": 7}]
)
def test_a_task_of_another_run_is_refused(workplace, tmp_path, changes):
    argv = run_arguments(workplace, tmp_path / "out", task=workplace / "task0.npz", **changes)
    refused(argv, r"task0\.npz")
    assert not (tmp_path / "out").exists()


def with_method(workplace, tmp_path, **method):
    method = {"label": "Mine", "implementation": "baselines.cross_entropy"} | method
    profile = write_yaml(tmp_path / "mine.yaml", tiny_profile(methods={"mine": method}))
    return run_arguments(workplace, tmp_path / "out", "mine", config=profile)


def test_weights_that_overflow_in_the_last_step_fail_by_name(workplace, tmp_path):
    """The loss of the only step is finite, what it does to the weights is not."""
    argv = with_method(workplace, tmp_path, training={"lr": 1e25, "epochs": 1, "batch_size": 100})
    assert train.main(argv) == 1
    assert "loss is nan in epoch 0" in read_record(tmp_path / "out" / "record.json")["error"]


BAD_METHODS = [
    {"implementation": "baselines.mlc", "options": {"teacher_lrr": 0.1}},
    {"implementation": "baselines.nothing"},
    {"implementation": "emlc.method", "options": {"look_ahead": 0}},
    {"implementation": "emlc.method", "options": {"corruption": "adverserial"}},
]


@pytest.mark.parametrize("method", BAD_METHODS)
def test_a_method_that_cannot_be_built_is_told_in_one_line(workplace, tmp_path, method, capsys):
    try:
        status = train.main(with_method(workplace, tmp_path, **method))
    except SuiteError as error:
        status, line = 2, str(error)
    else:
        line = capsys.readouterr().err.strip()
    assert status != 0
    assert "\n" not in line
    assert re.search(r"teacher_lrr|baselines\.nothing|look_ahead|corruption", line)


@pytest.mark.parametrize("method", BAD_METHODS)
def test_a_method_that_cannot_be_built_is_a_failed_run_so_that_the_others_finish(workplace, tmp_path, method):
    argv = with_method(workplace, tmp_path, **method)
    assert train.main([*argv, "--keep-going"]) == 0
    record = read_record(tmp_path / "out" / "record.json")
    assert record["status"] == "failed"
    assert re.search("teacher_lrr|nothing|look_ahead|corruption", record["error"])


@pytest.mark.parametrize("value", ["3e-4", None])
def test_an_option_of_the_wrong_type_is_one_line(workplace, tmp_path, value):
    argv = with_method(workplace, tmp_path, implementation="baselines.mlc", options={"teacher_lr": value})
    assert train.main(argv) == 1
    assert "teacher_lr" in read_record(tmp_path / "out" / "record.json")["error"]
