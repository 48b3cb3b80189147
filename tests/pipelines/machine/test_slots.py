"""One process per GPU, without a GPU: processes that compete, and a killed one that holds nothing."""

import logging
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from emlc.records.errors import SuiteError
from pipelines.machine import devices, slots
from pipelines.machine.slots import slots_folder, take_slot, take_slots

ROOT = Path(__file__).resolve().parents[3]
HOLD = """
import logging, sys
from pathlib import Path
from pipelines.machine import slots
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
slots.POLL_SECONDS = 0.02
print(slots.take_slot(sys.argv[2:], Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""
WAIT = 20


class Holder:
    """Another process that takes a slot and keeps it until it is ended."""

    def __init__(self, folder, names):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(folder), *names],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def line(self, stream):
        timer = threading.Timer(WAIT, self.process.kill)
        timer.start()
        try:
            return stream.readline().strip()
        finally:
            timer.cancel()

    @property
    def slot(self):
        return int(self.line(self.process.stdout))

    @property
    def says(self):
        return self.line(self.process.stderr)


@contextmanager
def holding(folder, *names):
    holder = Holder(folder, names)
    try:
        yield holder
    finally:
        holder.process.kill()
        holder.process.communicate()


@pytest.fixture
def mine(monkeypatch):
    """Slots that this process takes, given back after the test."""
    held = {}
    monkeypatch.setattr(slots, "_held", held)
    monkeypatch.setattr(slots, "POLL_SECONDS", 0.02)
    yield held
    for lock in held.values():
        lock.release()


def test_a_killed_holder_frees_its_device_for_one_that_waits(tmp_path):
    with holding(tmp_path, "a", "b") as first:
        assert first.slot == 0
        with holding(tmp_path, "a", "b") as second:
            assert second.slot == 1
            with holding(tmp_path, "a", "b") as third:
                assert third.says == "all GPUs (2) are taken by other processes; waiting for one"
                second.process.kill()  # SIGKILL: no clean-up of its own
                assert third.slot == 1
                third.process.kill()
                assert third.process.communicate() == ("", "")  # one line, however long it waited


def test_a_process_that_ends_frees_its_device(tmp_path, mine):
    with holding(tmp_path, "a") as first:
        assert first.slot == 0
        first.process.communicate("")
    assert take_slot(["a"], tmp_path) == 0


def test_a_process_keeps_what_it_has(tmp_path, mine):
    assert take_slot(["a", "b"], tmp_path) == 0
    assert take_slot(["a", "b"], tmp_path) == 0
    assert len(mine) == 1


def test_names_count_and_not_positions(tmp_path, mine):
    """A job whose scheduler shows it the second GPU only, and one that sees both."""
    with holding(tmp_path, "b") as other:
        assert other.slot == 0
        assert take_slot(["b", "a"], tmp_path) == 1


def test_the_folder_is_the_user_s_own(tmp_path, monkeypatch):
    monkeypatch.setattr(slots.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = slots_folder()
    assert folder == slots_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SuiteError, match="not a folder of yours"):
        slots_folder()
    folder.unlink()
    monkeypatch.setattr(slots.tempfile, "gettempdir", lambda: str(tmp_path / "absent"))
    with pytest.raises(SuiteError, match="cannot make the folder of GPU locks"):
        slots_folder()


@pytest.fixture
def two_gpus(monkeypatch, tmp_path, mine):
    """A machine with GPUs `a` and `b` as far as PyTorch tells; returns the devices that it was set to."""
    chosen = []
    monkeypatch.setattr(slots, "slots_folder", lambda: tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda i: SimpleNamespace(uuid="ab"[i]))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    return chosen


@pytest.mark.parametrize("name", ["cuda", "auto"])
def test_a_run_is_pinned_to_a_free_gpu(two_gpus, tmp_path, name):
    with holding(tmp_path, "a") as other:
        assert other.slot == 0
        device = devices.open_device(name, 1)
        assert device == devices.open_device(name, 1) == torch.device("cuda", 1)
    assert two_gpus == [1, 1]
    assert devices.device_name(device) == "GPU 1"
    assert devices.open_device("cpu", 1) == torch.device("cpu")


def test_the_gpu_that_slurm_gave_is_taken_and_of_several_a_free_one(monkeypatch, tmp_path, mine):
    with holding(tmp_path, "a") as other:
        assert other.slot == 0
        monkeypatch.setenv("SLURM_JOB_ID", "7")
        assert take_slot(["a"], tmp_path) == 0
        assert mine == {}
        assert take_slot(["a", "b"], tmp_path) == 1


def test_looking_at_a_device_does_not_take_it(two_gpus, mine):
    assert devices.find_device("cuda") == torch.device("cuda", 0)
    assert (two_gpus, mine) == ([], {})


def test_waiting_is_said_once(tmp_path, mine, caplog, monkeypatch):
    naps = []
    with holding(tmp_path, "a") as other:
        assert other.slot == 0

        def nap(seconds):
            naps.append(seconds)
            if len(naps) == 3:
                other.process.kill()
                other.process.wait()

        monkeypatch.setattr(slots.time, "sleep", nap)
        with caplog.at_level(logging.INFO):
            assert take_slot(["a"], tmp_path) == 0
    assert len(naps) == 3
    assert len(caplog.records) == 1


def test_several_devices_are_taken_all_at_once_or_not_at_all(tmp_path, mine, monkeypatch):
    with holding(tmp_path, "b") as other:
        assert other.slot == 0
        assert take_slots(["a", "b", "c"], 2, tmp_path) == [0, 2]
        assert take_slots(["a", "b", "c"], 2, tmp_path) == [0, 2]

        def nap(seconds):
            with holding(tmp_path, "d") as third:  # is not kept while the second of them is waited for
                assert third.slot == 0
            other.process.kill()
            other.process.wait()

        monkeypatch.setattr(slots.time, "sleep", nap)
        mine.clear()
        assert take_slots(["b", "d"], 2, tmp_path) == [0, 1]
    with pytest.raises(SuiteError, match=r"^a training by 3 processes needs as many GPUs, and here are 2$"):
        take_slots(["b", "d"], 3, tmp_path)
