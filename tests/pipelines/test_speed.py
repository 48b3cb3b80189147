"""The machine's speed: measured before a table, told with what the table took, and used to foresee another."""

import os
from pathlib import Path

import pytest

from emlc.records.artefacts import read_json, write_json
from pipelines import speed
from pipelines.machine import speed as loop
from pipelines.planning.hours import SPEED, seconds_here, table_time

TIME = {"seconds": 600.0, "runs": 200, "cores": 2, "reference_seconds": 0.5}


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table of three runs, one of them in two cells and one failed, none of them trained yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loop, "reference_seconds", lambda: 0.75)
    first = {"runs": {"0": "runs/a", "1": "runs/b"}, "failed": [{"folder": "runs/c"}]}
    content = {"cells": [first, {"runs": {"0": "runs/a"}, "failed": []}]}
    monkeypatch.setattr(speed, "read_table", lambda path: content)
    return content


def train(name, seconds):
    """Leave the record of a run as if it were trained so many seconds after the reference loop."""
    record = Path("runs") / name / "record.json"
    write_json(record, {})
    at = read_json(SPEED)["started"] + seconds
    os.utime(record, (at, at))


def test_what_a_table_took_counts_only_runs_that_it_trained(table, capsys, monkeypatch):
    assert speed.main(["--cores", "3"]) == 0
    assert capsys.readouterr().out.startswith("Reference loop: 0.75 s on one core of 3 ")
    train("a", 5)
    train("b", -5)
    train("c", 8)
    started = read_json(SPEED)["started"]
    monkeypatch.setattr(speed.time, "time", lambda: started + 10)
    assert speed.main(["--after", "results/table1.json"]) == 0
    assert capsys.readouterr().out == "2 of 3 runs trained in 10 s: 5.00 s a run\n"
    assert table_time(SPEED) is None  # a part of the table says nothing of the whole
    train("b", 1)
    speed.main(["--after", "results/table1.json"])
    assert table_time(SPEED) == {"seconds": 10.0, "runs": 3, "cores": 3, "reference_seconds": 0.75}


def test_a_table_that_was_there_took_nothing(table, capsys):
    speed.main([])
    for name in "abc":
        train(name, -100)
    capsys.readouterr()
    assert speed.main(["--after", "results/table1.json"]) == 0
    assert capsys.readouterr().out == ""
    assert table_time(SPEED) is None


def test_without_a_measurement_nothing_is_known(tmp_path):
    assert table_time(tmp_path / "speed.json") is None


def test_time_is_in_proportion_to_runs_and_loop_and_shared_out_to_cores():
    assert seconds_here(TIME, 200, 0.5, 2) == 600
    assert seconds_here(TIME, 50, 0.5, 2) == 150
    assert seconds_here(TIME, 200, 0.25, 2) == 300
    assert seconds_here(TIME, 200, 0.5, 8) == 150
