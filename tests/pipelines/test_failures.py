"""Failed runs are named and make the command fail."""

from emlc.artefacts import write_json
from pipelines.failures import main


def table(failed):
    return {"profile": "p", "cells": [{"failed": []}, {"failed": failed}]}


def test_silence_and_success_without_failures(tmp_path, capsys):
    write_json(tmp_path / "t.json", table([]))
    assert main([str(tmp_path / "t.json")]) == 0
    assert capsys.readouterr().out == ""


def test_each_failed_run_is_named_with_its_reason_and_remedy(tmp_path, capsys):
    write_json(tmp_path / "t.json", table([{"seed": 1, "folder": "d/sym-0.5/m/seed1", "error": "loss is nan"}]))
    assert main([str(tmp_path / "t.json")]) == 1
    line = capsys.readouterr().out
    assert line == "failed run: loss is nan; to try again, delete results/runs/p/d/sym-0.5/m/seed1/record.json\n"
