"""What DVC itself does with the committed pointers, in a fresh clone with the network cut."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.fixtures import ROOT, write_pointer

DEAD = "http://127.0.0.1:9"


@pytest.fixture
def clone(tmp_path):
    """A fresh clone of the data side: pointers, embedded data, and one stage that uses them."""
    origin = tmp_path / "origin"
    (origin / "data").mkdir(parents=True)
    shutil.copytree(ROOT / "embedded", origin / "embedded")
    for path in [ROOT / "data.dvc", ROOT / "data" / ".gitignore", *(ROOT / "data").glob("*.dvc")]:
        shutil.copy(path, origin / path.relative_to(ROOT))
    fetch = f"{sys.executable} -m pipelines.fetch"
    steps = [f"{fetch} data.dvc", f"{fetch} data/extra.dvc", "cp data/digits.npz result.npz"]
    stage = {"cmd": steps, "deps": ["data/digits.npz"], "outs": [{"result.npz": {"cache": False}}]}
    (origin / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"table": stage}}))
    (origin / ".gitignore").write_text("/result.npz\n")
    run(origin, "git", "init", "--quiet")
    run(origin, *DVC, "init")
    add_file_on_remote(origin, tmp_path / "remote")
    run(origin, "git", "add", "--all")
    run(origin, "git", "-c", "user.name=x", "-c", "user.email=x@y", "commit", "--quiet", "-m", "x")
    run(tmp_path, "git", "clone", "--quiet", str(origin), "clone")
    return tmp_path / "clone"


DVC = (sys.executable, "-m", "dvc")


def run(folder, *command):
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), DEAD)
    environment = os.environ | proxies | {"DVC_NO_ANALYTICS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def add_file_on_remote(origin, remote):
    """A pinned file that only a DVC remote has: to be fetched by a stage, inside ``dvc repro``."""
    file = origin / "data" / "extra.bin"
    file.write_bytes(b"extra")
    write_pointer(origin / "data" / "extra.dvc", file)
    run(origin, *DVC, "remote", "add", "--default", "shelf", str(remote))
    run(origin, *DVC, "commit", "--force", "data/extra.dvc")
    run(origin, *DVC, "push", "data/extra.dvc")


def test_plain_repro_works_twice_on_a_fresh_clone_without_network(clone):
    run(clone, *DVC, "repro")
    assert (clone / "result.npz").read_bytes() == (ROOT / "embedded" / "digits.npz").read_bytes()
    assert (clone / "data" / "extra.bin").read_bytes() == b"extra"
    assert not (clone / "data" / "cifar-10-python.tar.gz").exists()
    assert run(clone, "git", "status", "--porcelain") == "?? dvc.lock\n"
    assert "Data and pipelines are up to date" in run(clone, *DVC, "repro")
    lock = (clone / "dvc.lock").read_bytes()
    shutil.rmtree(clone / ".dvc" / "cache")
    (clone / "data" / "digits.npz").unlink()
    run(clone, *DVC, "repro")
    assert (clone / "dvc.lock").read_bytes() == lock
    assert run(clone, "git", "status", "--porcelain") == "?? dvc.lock\n"


def test_data_fetched_before_the_first_repro_do_not_disturb_it(clone):
    run(clone, sys.executable, "-m", "pipelines.fetch", "data.dvc")
    run(clone, *DVC, "repro")
    assert run(clone, "git", "status", "--porcelain") == "?? dvc.lock\n"
