"""Every step's command line: one line per mistake, status 2, help without torch."""

import runpy
import subprocess
import sys
from importlib import import_module

import pytest

from emlc.records.errors import SuiteError
from pipelines.machine.cli import Parser, at_least, run
from pipelines.profile.places import ROOT

STEPS = ["fetch", "prepare", "human", "inject", "pretrain", "train", "table", "compare", "curves", "splits", "merge"]
STEPS += ["failures", "claims", "report"]


@pytest.fixture
def arguments(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["step", "--x", "1"])


def exit_status(call):
    with pytest.raises(SystemExit) as caught:
        call()
    return caught.value.code


@pytest.mark.parametrize("status", [0, 1])
@pytest.mark.usefixtures("arguments")
def test_the_status_is_main_s(status, capsys):
    seen = []
    assert exit_status(lambda: run(lambda argv: seen.append(list(argv)) or status)) == status
    assert seen == [["--x", "1"]]
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("arguments")
def test_a_mistake_is_one_line_and_status_2(capsys):
    def main(argv):
        raise SuiteError("the rate is 1.5; choose one from 0 to 1")

    assert exit_status(lambda: run(main)) == 2
    assert capsys.readouterr() == ("", "error: the rate is 1.5; choose one from 0 to 1\n")


@pytest.mark.usefixtures("arguments")
def test_a_defect_keeps_its_traceback():
    def main(argv):
        raise KeyError("oops")

    with pytest.raises(KeyError, match="oops"):
        run(main)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "the following arguments are required: --rate"),
        (["--rate", "many"], "argument --rate: invalid float value: 'many'"),
        (["--rate", "0.5", "--count", "0"], "argument --count: 0 is less than 1"),
        (["--rate", "0.5", "--count", "1.5"], "argument --count: invalid whole number value: '1.5'"),
        (["--rate", "0.5", "--speed"], "unrecognized arguments: --speed"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(argv, message, capsys):
    parser = Parser("pipelines.step")
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--count", type=at_least(1))
    assert exit_status(lambda: parser.parse_args(argv)) == 2
    assert capsys.readouterr() == ("", f"error: {message} (see python -m pipelines.step --help)\n")


@pytest.mark.parametrize(("step", "argv"), [("tune", ["--processes", "0"])])
def test_counts_that_make_no_sense_are_refused_before_anything_is_read(step, argv, capsys):
    main = import_module(f"pipelines.{step}").main
    assert exit_status(lambda: main(argv)) == 2
    assert f"argument {argv[0]}: {argv[1]} is less than" in capsys.readouterr().err


def start(name, *argv):
    """Run a command as ``python -m`` does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *argv])
        return exit_status(lambda: runpy.run_module(f"pipelines.{name}", run_name="__main__"))


def test_every_step_explains_itself_without_torch():
    """In one process, because starting one takes longer than the test."""
    code = f"""
import runpy, sys
from tests.test_imports import Refuse
sys.meta_path.insert(0, Refuse({{"torch"}}))
for name in {STEPS!r}:
    sys.argv = [name, "--help"]
    try:
        runpy.run_module("pipelines." + name, run_name="__main__")
    except SystemExit as leave:
        assert leave.code == 0, name
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for name in STEPS:
        assert f"usage: pipelines.{name}" in done.stdout


@pytest.mark.parametrize("name", STEPS)
def test_a_step_without_arguments_says_what_it_needs(name, capsys):
    assert start(name) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the following arguments are required: ")
    assert error.endswith(f"(see python -m pipelines.{name} --help)\n")
    assert error.count("\n") == 1
