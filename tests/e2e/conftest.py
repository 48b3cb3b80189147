"""A copy of the repository's own files with a profile that takes seconds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.tiny import EVIDENCE

ROOT = Path(__file__).resolve().parents[2]


def tiny_profile(rates: tuple[float, ...] = (0.5,)) -> dict:
    """The default profile with three methods, the columns of some rates, two seeds, a narrow network and two epochs."""
    profile = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    profile = {key: value for key, value in profile.items() if key not in EVIDENCE}
    profile |= {"seeds": [0, 1], "cells_per_job": 1, "initialisation": "scratch"}
    table = {key: value for key, value in profile["tables"]["table1"].items() if key != "methods"}
    profile["tables"] = {
        "table1": {**table, "columns": [column for column in table["columns"] if column["rate"] in rates]}
    }
    profile["training"]["epochs"] = 2
    profile["datasets"]["digits"]["model"]["width"] = 4
    profile["methods"] = {name: profile["methods"][name] for name in ("cross-entropy", "clean-only", "emlc-k5")}
    return profile


class Workplace:
    """A clone-like folder to run commands in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write_profile(self, profile: dict) -> None:
        (self.folder / "config" / "config.yaml").write_text(yaml.safe_dump(profile, sort_keys=False))

    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PYTHONPATH": str(self.folder), "OMP_NUM_THREADS": "1", "PATH": path}

    def run(self, *command: str, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**self.environment(), **variables}
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=600
        )
        if check and done.returncode:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("snakemake", "--cores", "2", *arguments, check=check)

    def is_done(self, *arguments: str) -> bool:
        """Whether a dry run says that there is nothing to do."""
        text = self.snakemake("-n", *arguments)
        return "Nothing to be done" in text.stdout + text.stderr

    def scheduled(self, *arguments: str) -> list[str]:
        """The outputs and rules that a dry run would make, one line per job."""
        text = self.snakemake("-n", *arguments)
        return [line for line in (text.stdout + text.stderr).splitlines() if line.strip().startswith("output:")]


def copy_of_the_repository(folder: Path) -> Path:
    """Copy what git tracks, and what it would, to a folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    place = Workplace(copy_of_the_repository(tmp_path / "clone"))
    place.write_profile(tiny_profile())
    return place
