"""`dvc repro` on a fresh clone without network, and its ledger."""

import shutil
import subprocess

import pytest

from tests.e2e.test_clothes import clothes_profile

pytestmark = pytest.mark.slow

OFFLINE = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}


@pytest.fixture
def clone(workplace):
    profile = clothes_profile() | {"seeds": [0]}
    for table, second in (("table1", "clean-only"), ("table2", "emlc-k1")):
        profile["tables"][table] |= {"seeds": [0], "methods": ["cross-entropy", second]}
    workplace.write_profile(profile)
    data = [workplace.folder / "data" / f"{name}.npz" for name in ("digits", "clothes")]
    for path in (*data, workplace.folder / "results", workplace.folder / "dvc.lock"):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "clone"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=workplace.folder, check=True)
    return workplace


def test_repro_twice_and_the_lock_tells_equal_results(clone):
    clone.run("dvc", "repro", **OFFLINE)
    lock = (clone.folder / "dvc.lock").read_bytes()
    results = clone.folder / "results"
    assert (results / "table1.md").exists()
    assert (results / "table2.md").exists()
    assert (results / "embedded" / "figures" / "convergence_table1" / "digits_sym-0.5.csv").exists()
    assert "up to date" in clone.run("dvc", "repro", **OFFLINE).stdout
    shown = clone.run("dvc", "metrics", "show", "--md", **OFFLINE).stdout
    assert "Cross-Entropy" in shown
    shutil.rmtree(clone.folder / "results")
    shutil.rmtree(clone.folder / ".snakemake")
    clone.run("dvc", "repro", **OFFLINE)
    assert (clone.folder / "dvc.lock").read_bytes() == lock
