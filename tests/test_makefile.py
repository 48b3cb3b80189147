"""The Makefile calls the interpreter of the environment that it makes, wherever that lies, and no other."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")

INTERPRETER = """#!/bin/sh
echo "$0 $*" >> "{log}"
command -v python >> "{paths}"
case "$*" in *"{failing}"*) exit 1;; esac
"""

MAKER = """#!/bin/sh
case "$*" in
"-m venv "*) mkdir -p "$3/bin" && cp "{interpreter}" "$3/bin/python";;
*cpu_count*) echo 2;;
*version_info*) ;;
*) echo "system: $*" >> "{log}";;
esac
"""


class Place:
    """A folder with the Makefile, a Python that can only make environments, and nothing else of that name."""

    def __init__(self, folder: Path, failing: str) -> None:
        self.folder, self.log, self.paths = folder, folder / "calls.log", folder / "paths.log"
        for name in ("Makefile", "requirements.lock", "pyproject.toml"):
            shutil.copy(ROOT / name, folder)
        (folder / "bin").mkdir()
        interpreter = self.script("interpreter", INTERPRETER, failing)
        for name in ("python3", "python", "pip", "pytest", "snakemake"):
            self.script(f"bin/{name}", MAKER, failing, interpreter)

    def script(self, name: str, text: str, failing: str, interpreter: Path | None = None) -> Path:
        path = self.folder / name
        path.write_text(text.format(log=self.log, paths=self.paths, failing=failing, interpreter=interpreter))
        path.chmod(0o755)
        return path

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.folder / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin"
        return subprocess.run(
            [shutil.which("make"), *arguments],
            cwd=self.folder,
            env={"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def place(tmp_path):
    def build(failing="nothing fails", name="clone"):
        (tmp_path / name).mkdir()
        return Place(tmp_path / name, failing)

    return build


@pytest.fixture(params=["default", "relative", "absolute", "absolute, inside"])
def venv(request, tmp_path):
    """What to say on the command line -> the environment as recipes name it."""
    return {
        "default": (None, ".venv"),
        "relative": ("VENV=envs/a", "envs/a"),
        "absolute": (f"VENV={tmp_path}/elsewhere/env", f"{tmp_path}/elsewhere/env"),
        "absolute, inside": (f"VENV={tmp_path}/clone/env", f"{tmp_path}/clone/env"),
    }[request.param]


def test_an_environment_is_filled_and_used_by_its_own_interpreter(place, venv):
    here = place()
    argument, folder = venv
    done = here.make("test", *([argument] if argument else []))
    assert (done.returncode, done.stderr) == (0, "")
    pip = f"{folder}/bin/python -m pip install --quiet --disable-pip-version-check"
    assert here.calls() == [
        f"{pip} --require-hashes --requirement requirements.lock",
        f"{pip} --no-deps --no-build-isolation --editable .",
        f"{folder}/bin/python -m pytest --numprocesses 3 --maxprocesses 4 --dist loadfile --no-loadscope-reorder",
    ]
    assert (here.folder / folder / "ready").exists()
    # Rules of the workflow say `python`.
    assert set(here.paths.read_text().split()) == {str(here.folder / folder / "bin" / "python")}


@pytest.mark.parametrize("target", ["test", "chaos", "lint", "table1", "readme"])
def test_every_recipe_calls_that_interpreter(place, venv, target):
    here = place()
    argument, folder = venv
    shown = here.make("-n", target, *([argument] if argument else []))
    assert shown.returncode == 0
    lines = [line for line in shown.stdout.splitlines() if not line.startswith(("test ", "touch ", "cat "))]
    assert lines.pop(0) == f"python3 -m venv {folder}"
    assert len(lines) >= 3
    assert all(line.startswith(f"{folder}/bin/python ") for line in lines)


def test_a_failed_installation_marks_nothing_ready(place, venv):
    here = place(failing="--editable")
    argument, folder = venv
    assert here.make("test", *([argument] if argument else [])).returncode != 0
    assert not (here.folder / folder / "ready").exists()
    assert not any("-m pytest" in call for call in here.calls())


def test_a_clone_in_a_folder_with_a_blank_in_its_name(place):
    here = place(name="my clone")
    assert here.make("test").returncode == 0
    assert set(here.paths.read_text().splitlines()) == {str(here.folder / ".venv" / "bin" / "python")}


def test_clean_removes_results_and_needs_no_environment(place):
    here = place()
    for name in ("results/runs/a.json", ".cache/x", ".snakemake/y"):
        (here.folder / name).parent.mkdir(parents=True)
        (here.folder / name).touch()
    assert here.make("clean").returncode == 0
    assert [list((here.folder / "results").iterdir()), here.calls()] == [[], []]
    assert not (here.folder / ".cache").exists()
    assert not (here.folder / ".snakemake").exists()


def test_without_a_python_it_is_said_which(place):
    here = place()
    done = here.make("test", "PYTHON=")
    assert done.returncode != 0
    assert "error: Python >= 3.11 is needed; install it or say make PYTHON=/path/to/python" in done.stderr
