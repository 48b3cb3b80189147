"""``python -m pipelines.parity`` on small adapters, and on folders without what it needs."""

import json
from pathlib import Path

import pytest
import torch

from pipelines import parity
from pipelines.machine import cli
from pipelines.official import outcome
from pipelines.official.clones import NotComparable, Repository
from pipelines.official.comparison import Case
from pipelines.official.outcome import METHODS, adapter_of

ROOT = Path(__file__).resolve().parents[2]


class Adapter:
    """An adapter whose two sides are numbers."""

    REPOSITORY = Repository("owner", "name", 40 * "a")

    def __init__(self, *official: float, undone: float | None = None, problem: str | None = None):
        self.official, self.undone, self.problem = official, undone, problem

    def cases(self, clone):
        if self.problem:
            raise NotComparable(self.problem)
        defects = () if self.undone is None else ("a defect",)
        for value in self.official:
            yield Case(
                f"case {value}", lambda steps: state(1.0), lambda steps, undone, v=value: self.side(v, undone), defects
            )

    def side(self, value, undone):
        if value == 0:
            raise ZeroDivisionError("zero")
        return state(self.undone if undone else value)


def state(value):
    return {"student: weights": [torch.tensor([value])]}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command on named adapters and return exit status, printed lines and the JSON."""

    def go(**adapters):
        monkeypatch.setattr(outcome, "find_clone", lambda folder, repository: folder)
        monkeypatch.setattr(outcome, "adapter_of", lambda name: adapters[name])
        chosen = [word for name in adapters for word in ("--method", name)]
        out = [f"--{kind}={tmp_path / kind}" for kind in ("md", "json")]
        status = parity.main(["--official", str(tmp_path), *chosen, *out])
        return status, capsys.readouterr().out.splitlines(), json.loads((tmp_path / "json").read_text())

    return go


def test_all_agree(run):
    status, lines, content = run(emlc=Adapter(1.0), mlc=Adapter(3.0, undone=1.0))
    assert status == 0
    assert lines == [
        "EMLC, case 1.0: 0: agrees",
        "MLC, case 3.0: 6.7e-01, defects undone 0: explained",
    ]
    assert [case["verdict"] for method in content["methods"] for case in method["cases"]] == ["agrees", "explained"]
    assert content["methods"][1]["cases"][0]["defects"] == ["a defect"]


def test_one_difference_fails_and_the_others_go_on(run):
    status, lines, _ = run(emlc=Adapter(2.0), mlc=Adapter(problem="no clone"), fasten=Adapter(1.0))
    assert status == 1
    assert lines == ["EMLC, case 2.0: 5.0e-01: differs", "MLC: not compared: no clone", "FasTEN, case 1.0: 0: agrees"]


def test_a_case_that_no_longer_runs_is_one_line_and_the_others_go_on(run):
    status, lines, content = run(emlc=Adapter(0.0, 1.0))
    assert status == 0
    assert lines == [
        "EMLC, case 1.0: 0: agrees",
        "EMLC: not compared: case 0.0: the official code no longer runs: ZeroDivisionError: zero",
    ]
    assert content["methods"][0]["problems"] == [lines[1].removeprefix("EMLC: not compared: ")]


def test_nothing_compared(run, tmp_path):
    status, _, content = run(emlc=Adapter(problem="no clone"))
    assert status == 3
    assert content["methods"][0]["cases"] == []
    assert "no clone" in (tmp_path / "md").read_text()


def test_the_page_has_every_case_part_and_defect(run, tmp_path):
    run(emlc=Adapter(1.0), mlc=Adapter(3.0, undone=1.0))
    page = (tmp_path / "md").read_text()
    assert "| MLC | owner/name aaaaaaa | case 3.0 | 6.7e-01 |  | 0 | explained |" in page
    assert "| MLC | case 3.0 | 6 | student: weights | 6.7e-01 | 0 | explained |" in page
    assert "- MLC: a defect" in page
    assert "EMLC: a defect" not in page
    assert "Not compared" not in page


def test_an_empty_folder_compares_nothing(tmp_path, capsys):
    out = [f"--{kind}={tmp_path / kind}" for kind in ("md", "json")]
    assert parity.main(["--official", str(tmp_path), *out]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(METHODS)
    assert all("not compared: no clone in" in line and "git clone https://github.com/" in line for line in lines)


@pytest.mark.parametrize("argv", [[], ["--official", ".", "--method", "nobody"], ["--official", "nowhere-at-all"]])
def test_bad_usage_is_one_line_and_status_two(argv, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["parity", *argv])
    with pytest.raises(SystemExit) as caught:
        cli.run(parity.main)
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_documented_table_names_every_method_and_commit():
    page = (ROOT / "docs" / "parity.md").read_text()
    for name, label in METHODS.items():
        repository = adapter_of(name).REPOSITORY
        assert f"| {label} | {repository} {repository.commit[:7]} |" in page
