"""The command that checks somebody's method: a line per check, an exit status, one line for what it is not."""

import sys

import pytest

import baselines
from emlc.records.errors import SuiteError
from pipelines import check

WAITING = """
from baselines.cross_entropy import CrossEntropy

class Waiting(CrossEntropy):
    def learn(self, noisy, clean):
        metrics = super().learn(noisy, clean)
        float(metrics["student_loss"])
        return metrics

METHOD = Waiting
"""


@pytest.fixture
def waiting(tmp_path, monkeypatch):
    """A method in a file of `baselines`, as its author has it."""
    (tmp_path / "waiting.py").write_text(WAITING)
    monkeypatch.setattr(baselines, "__path__", [*baselines.__path__, str(tmp_path)])
    yield "baselines.waiting"
    sys.modules.pop("baselines.waiting", None)


def test_a_line_for_each_check(capsys):
    assert check.main(["baselines.mlc", "--options", '{"gradient_steps": 2}', "--epochs", "1"]) == 0
    names = ("contract", "determinism", "resume", "clean labels", "global randomness", "host synchronisation")
    assert capsys.readouterr().out.splitlines() == [f"ok    {name}" for name in names]


def test_a_fault_is_told_with_its_place(waiting, capsys):
    assert check.main([waiting, "--epochs", "1"]) == 1
    *right, wrong = capsys.readouterr().out.splitlines()
    assert [line[:4] for line in right] == ["ok  "] * 5
    assert wrong.startswith("FAIL  host synchronisation: 10 of 10 steps of epoch 0 make a GPU wait, the first at ")
    assert "waiting.py:7" in wrong


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["baselines.nothing"], "baselines.nothing is not a method"),
        (["baselines.mlc", "--options", '{"rate": 2}'], "has no option 'rate'"),
    ],
)
def test_what_is_no_method_is_refused(arguments, told):
    with pytest.raises(SuiteError, match=told):
        check.main(arguments)


def test_options_are_a_json_object(capsys):
    with pytest.raises(SystemExit, match="2"):
        check.main(["baselines.mlc", "--options", "[3]"])
    assert "[3] is no JSON object" in capsys.readouterr().err
