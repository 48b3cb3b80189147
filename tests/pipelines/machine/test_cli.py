"""Every step's command line: one line per mistake, status 2, help without torch."""

import subprocess
import sys
from importlib import import_module

import pytest

from emlc.records.errors import SuiteError
from pipelines.machine.cli import Parser, at_least, run
from pipelines.profile.places import ROOT

STEPS = ["fetch", "prepare", "inject", "train", "aggregate", "table", "compare", "curves"]


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


@pytest.mark.parametrize(
    ("step", "argv"),
    [("tune", ["--processes", "0"]), ("metagrad", ["--draws", "0"]), ("metagrad", ["--warm-up", "-1"])],
)
def test_counts_that_make_no_sense_are_refused_before_anything_is_read(step, argv, tmp_path, capsys):
    main = import_module(f"pipelines.{step}").main
    paths = [f"--{name}={tmp_path / name}" for name in ("data", "task", "out") if (step, name) != ("tune", "task")]
    assert exit_status(lambda: main([*argv, *paths])) == 2
    assert f"argument {argv[0]}: {argv[1]} is less than" in capsys.readouterr().err


def test_every_step_explains_itself_without_torch():
    """In one process, because starting one takes longer than the test."""
    code = f"""
import importlib, sys
from tests.test_imports import Refuse
sys.meta_path.insert(0, Refuse({{"torch"}}))
for name in {STEPS!r}:
    try:
        importlib.import_module("pipelines." + name).main(["--help"])
    except SystemExit as leave:
        assert leave.code == 0, name
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for name in STEPS:
        assert f"usage: pipelines.{name}" in done.stdout


@pytest.mark.parametrize("name", STEPS)
def test_a_step_without_arguments_says_what_it_needs(name, capsys):
    main = import_module(f"pipelines.{name}").main
    assert exit_status(lambda: main([])) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the following arguments are required: ")
    assert error.endswith(f"(see python -m pipelines.{name} --help)\n")
    assert error.count("\n") == 1
