"""Failed runs are named and make the command fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from emlc.records.artefacts import write_json
from emlc.records.errors import SuiteError
from pipelines.failures import main
from pipelines.profile.mappings import read_yaml
from pipelines.profile.places import ROOT

FAILED = [{"seed": 1, "folder": "results/runs/abc", "error": "loss is nan"}]


def table(failed):
    cell = dict.fromkeys(("method", "dataset", "noise_type", "noise_rate", "mean", "std"))
    facts = {
        "title": "T",
        "protocol": "paper",
        "selection": "last",
        "seeds": [0],
        "datasets": [],
        "methods": [],
        "paired": [],
    }
    return {"profile": "p", **facts, "cells": [{**cell, "failed": []}, {**cell, "failed": failed}]}


def test_silence_and_success_without_failures(tmp_path, capsys):
    write_json(tmp_path / "t.json", table([]))
    assert main([str(tmp_path / "t.json")]) == 0
    assert capsys.readouterr().out == ""


def test_each_failed_run_is_named_with_its_reason_and_remedy(tmp_path, capsys):
    write_json(tmp_path / "t.json", table(FAILED))
    assert main([str(tmp_path / "t.json")]) == 1
    line = capsys.readouterr().out
    assert line == "failed run: loss is nan; to try again, delete results/runs/abc\n"


@pytest.mark.parametrize("failed", [[], FAILED])
def test_dvc_locks_no_table_of_failed_runs(failed, tmp_path):
    """Its command where Snakemake finds nothing to do."""
    write_json(tmp_path / "results" / "table1.json", table(failed))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "snakemake").symlink_to(shutil.which("true"))
    path = os.pathsep.join([str(tmp_path / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    command, environment = read_yaml(ROOT / "dvc.yaml")["stages"]["table1"]["cmd"], {"PATH": path}
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=os.environ | environment | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == len(failed)


@pytest.mark.parametrize("content", [[], {}, {"profile": "p", "cells": 3}, table([3]), table([{"seed": 0}])])
def test_what_is_no_table_is_refused_in_one_line(tmp_path, content):
    write_json(tmp_path / "t.json", content)
    with pytest.raises(SuiteError, match=r"t\.json is not a table of results"):
        main([str(tmp_path / "t.json")])
