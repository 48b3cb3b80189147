"""Checkpoints: a run that is killed anywhere is the run that was left in peace, and a bad file does no harm."""

import io
import itertools
import logging
import math
import os
import random
import tracemalloc

import pytest
import torch

from emlc.engine.checkpoints import read_checkpoint, stacked, unstacked, write_checkpoint
from emlc.engine.history import History
from emlc.engine.keepers import Checkpoints
from emlc.engine.loop import train
from emlc.records.artefacts import sha256_bytes
from emlc.records.errors import Interrupted
from tests.emlc.engine.test_run import CPU, RECIPE, VARIANTS, Session, assert_identical

IDENTITY = {"run": {"seed": 0}, "versions": {"torch": "2"}, "rate": 0.5}
EPOCHS = 4


class KillError(Exception):
    """In place of SIGKILL: nothing of the process remains but its files."""


class Moody(Checkpoints):
    """Writes a checkpoint after every second step or epoch, as a seeded coin falls."""

    def __init__(self, path, coin, stopped=lambda: False):
        super().__init__(path, IDENTITY, 1.0, stopped)
        self.coin = coin

    def _keep(self, work, history, pause):
        super()._keep(work, history, 0 if self.coin.random() < 0.5 else math.inf)


def attempt(recipe, path, steps, coin):
    """Train from the checkpoint until the end or until so many steps have been begun."""
    session, left = Session.start(recipe), [steps]
    step = session.method.step

    def fragile():
        left[0] -= 1
        if left[0] < 0:
            raise KillError
        return step()

    session.method.__dict__["step"] = fragile
    return train(session.method, session.scored, EPOCHS, keeper=Moody(path, coin))


@pytest.fixture(scope="module")
def peaceful():
    cache = {}

    def history(name):
        if name not in cache:
            session = Session.start(VARIANTS[name])
            cache[name] = train(session.method, session.scored, EPOCHS)
        return cache[name]

    return history


@pytest.mark.parametrize("name", VARIANTS)
def test_kills_at_random_steps_change_nothing(name, tmp_path, peaceful):
    coin, kills, history = random.Random(name), 0, None
    while history is None:
        try:
            history = attempt(VARIANTS[name], tmp_path / "run.pt", coin.randrange(1, 4), coin)
        except KillError:
            kills += 1
        assert kills < 200
    assert (history.steps, history.epochs) == (peaceful(name).steps, peaceful(name).epochs)
    assert kills >= 1
    for table in ("steps", "epochs"):
        assert [list(row) for row in getattr(history, table)] == [list(row) for row in getattr(peaceful(name), table)]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_run_stops_as_asked_after_any_step_and_goes_on(name, tmp_path, peaceful):
    path, interruptions, history = tmp_path / "run.pt", 0, None
    while history is None:
        session = Session.start(VARIANTS[name])
        seen = iter([False] * 3 + [True] * 999)
        keeper = Checkpoints(path, IDENTITY, math.inf, lambda seen=seen: next(seen))
        try:
            history = train(session.method, session.scored, EPOCHS, keeper=keeper)
        except Interrupted:
            interruptions += 1
    assert (history.steps, history.epochs) == (peaceful(name).steps, peaceful(name).epochs)
    assert history.resumed == interruptions > 0


def kept_run(path):
    """Leave the checkpoint of a run that was stopped in its second epoch."""
    session = Session.start(RECIPE)
    seen = iter([False] * 8 + [True])
    with pytest.raises(Interrupted, match=f"the next start goes on from {path}"):
        train(session.method, session.scored, EPOCHS, keeper=Checkpoints(path, IDENTITY, math.inf, lambda: next(seen)))
    assert read_checkpoint(path, IDENTITY)["begun"]["student_loss"].shape == (3,)  # five steps an epoch


def test_times_survive_and_a_finished_run_is_not_repeated(tmp_path):
    path = tmp_path / "run.pt"
    kept_run(path)
    session = Session.start(RECIPE)
    whole = train(session.method, session.scored, EPOCHS, keeper=Checkpoints(path, IDENTITY, math.inf))
    assert (len(whole.seconds), whole.resumed) == (EPOCHS, 1)
    assert whole.spent >= sum(whole.seconds[:1])
    assert read_checkpoint(path, IDENTITY)["state"] is None
    session = Session.start(RECIPE)
    session.method.__dict__["step"] = None  # would fail if it were called
    again = train(session.method, session.scored, EPOCHS, keeper=Checkpoints(path, IDENTITY, math.inf))
    assert (again.steps, again.epochs, again.seconds) == (whole.steps, whole.epochs, whole.seconds)
    assert again.spent > whole.spent


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


class Payload:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


def hostile(path):
    buffer = io.BytesIO()
    torch.save({"identity": "{}", "history": "{}", "begun": {}, "layout": [], "state": Payload()}, buffer)
    path.write_bytes(buffer.getvalue() + f"\nemlc.checkpoint/2 {sha256_bytes(buffer.getvalue())}\n".encode())


BAD = {
    "flipped": (flip, "damaged"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-50]), "damaged"),
    "empty": (lambda path: path.write_bytes(b""), "damaged"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "cannot read"),
    "code": (hostile, "refused"),
}


@pytest.mark.parametrize("damage", BAD)
def test_a_bad_checkpoint_is_told_in_one_line_and_the_run_starts_anew(damage, tmp_path, monkeypatch, caplog, peaceful):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "run.pt"
    kept_run(path)
    spoil, message = BAD[damage]
    spoil(path)
    session = Session.start(RECIPE)
    with caplog.at_level(logging.WARNING):
        history = train(session.method, session.scored, EPOCHS, keeper=Checkpoints(path, IDENTITY, math.inf))
    assert message in caplog.messages[0]
    assert "run.pt" in caplog.messages[0]
    assert "\n" not in caplog.messages[0]
    assert history.resumed == 0
    assert history.steps == peaceful("baselines.cross_entropy").steps
    assert not (tmp_path / "pwned").exists()


def test_a_checkpoint_of_another_run_is_named_with_what_differs(tmp_path, caplog):
    kept_run(tmp_path / "run.pt")
    with caplog.at_level(logging.WARNING):
        other = {**IDENTITY, "rate": 0.8, "precision": "bfloat16"}
        assert read_checkpoint(tmp_path / "run.pt", other) is None
    assert caplog.messages == [f"{tmp_path / 'run.pt'} is of another run (precision, rate differ); the run starts anew"]


def test_a_place_that_cannot_be_written_costs_the_checkpoint_not_the_run(tmp_path, caplog, peaceful):
    (tmp_path / "file").write_text("no folder")
    session = Session.start(RECIPE)
    keeper = Checkpoints(tmp_path / "file" / "run.pt", IDENTITY, 0)
    history = train(session.method, session.scored, EPOCHS, keeper=keeper)
    assert history.steps == peaceful("baselines.cross_entropy").steps
    (line,) = caplog.messages
    assert line.startswith("no checkpoint: cannot write ")


def test_checkpoints_are_rare_enough(tmp_path, monkeypatch):
    """None within an epoch before its time; after an epoch, none that would take more than its share."""
    clock = [0.0]
    monkeypatch.setattr("emlc.engine.checkpoints.time.monotonic", lambda: clock[0])
    written = []

    def write(path, identity, state, history):
        written.append((clock[0], bool(state)))
        clock[0] += 0.5

    monkeypatch.setattr("emlc.engine.checkpoints.write_checkpoint", write)
    session, keeper = Session.start(RECIPE), Checkpoints(tmp_path / "run.pt", IDENTITY, 1)
    for _ in range(100):
        clock[0] += 10
        keeper.after_epoch(session.method, History())
    assert [at for at, _ in written] == [10, *(60.5 + 50.5 * i for i in range(len(written) - 1))]
    written.clear()
    for _ in range(100):
        clock[0] += 7
        keeper.after_step(session.method, History())
    gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(written)]
    assert set(gaps) == {63.5}
    keeper.after_run(History())
    assert not written[-1][1]


def test_metrics_keep_their_types_and_their_steps():
    rows = [
        {"a": torch.tensor(1.5), "b": torch.tensor(2.0, dtype=torch.float64)},
        {"b": torch.tensor(4.0, dtype=torch.float64)},
        {},
        {"b": torch.tensor(5.0, dtype=torch.float64), "a": torch.tensor(3.5)},
    ]
    back = unstacked(stacked(rows), [list(row) for row in rows], CPU)
    assert_identical(back, rows)
    assert [list(row) for row in back] == [list(row) for row in rows]
    assert unstacked(stacked([]), [], CPU) == []


def test_a_checkpoint_is_hashed_while_it_is_written_not_held_a_second_time(tmp_path):
    state = {f"memory {i}": torch.full((250_000,), i) for i in range(16)}
    tracemalloc.start()
    write_checkpoint(tmp_path / "run.pt", IDENTITY, state, History())
    assert tracemalloc.get_traced_memory()[1] < sum(value.nbytes for value in state.values()) / 4
    tracemalloc.stop()
    content = (tmp_path / "run.pt").read_bytes()
    body, seal = content[:-84], content[-84:]
    assert seal == f"\nemlc.checkpoint/2 {sha256_bytes(body)}\n".encode()
    assert_identical(read_checkpoint(tmp_path / "run.pt", IDENTITY)["state"], state)
