"""A finished table in which something is damaged, of another profile or of another time: right again, or refused.

After every change each of the three commands is run. If it succeeds, table, comparison and curves are, byte for byte,
those of a run from nothing; if not, it says in one line why.
"""

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.place import TALLY
from tests.chaos.test_workflow import Workflow, stop_all
from tests.e2e.conftest import copy_of_the_repository
from tests.tiny import TRAINING, tiny_profile

METHODS = {
    "cross-entropy": {"label": "Cross-Entropy", "implementation": "baselines.cross_entropy"},
    "emlc-k5": {
        "label": "EMLC (k=5)",
        "implementation": "emlc.method",
        "options": {"look_ahead": 5},
        "initialisation": "simclr",
    },
}


def profile(warm_up_epochs: int = 0, teacher_lr: float = 0.02, **training: float) -> dict:
    emlc = METHODS["emlc-k5"]
    methods = {**METHODS, "emlc-k5": {**emlc, "options": {**emlc["options"], "teacher_lr": teacher_lr}}}
    tiny = tiny_profile(seeds=[0, 1], seeds_per_job=2, methods=methods, checkpoint_minutes=1e-3)
    digits = {
        **tiny["datasets"]["digits"],
        "pretraining": {"epochs": 1, "batch_size": 256, "warm_up_epochs": warm_up_epochs},
    }
    return {
        **tiny,
        "profile": "embedded",
        "datasets": {"digits": digits},
        "training": {**TRAINING, "epochs": 2, "batch_size": 28, **training},
    }


OLD = profile()
CHANGED = profile(teacher_lr=0.01)
"""A key is another: half of the runs, with all that they are made from, are still right."""
NEW = profile(warm_up_epochs=1, lr=0.01)
"""Every run is another, from another encoder."""
CURVES = "results/embedded/figures/convergence_table1"
SHOWN = (
    *("results/table1.md", "results/table1.csv", "results/table1.json", "results/compare_table1.json"),
    *(f"{CURVES}.{kind}" for kind in ("csv", "png")),
    "results/embedded/table1.csv",
)
COMMANDS = {
    "snakemake": ("snakemake", "--cores", "2", "results/table1.md"),
    # This environment, as it is: `make` would install the clone into it.
    "make": ("make", "table1", f"VENV={sys.prefix}", "-o", f"{sys.prefix}/ready", "CORES=2"),
    "dvc": ("dvc", "repro", "table1"),
}

KINDS = {
    "record": "results/runs/*/record.json",
    "history": "results/runs/*/history.csv",
    "steps": "results/runs/*/steps.csv",
    "seal of a run": "results/runs/*/seal.json",
    "cell": "results/store/cells/*/seal.json",
    "task": "results/store/tasks/*/task.npz",
    "data": "results/store/data/*/arrays.npz",
    "encoder": "results/store/encoders/*/encoder.pt",
    "table in the store": "results/store/tables/*/table1.json",
    "comparison in the store": "results/store/tables/*/compare_table1.json",
    "curves in the store": "results/store/curves/*/convergence_table1.csv",
    "order": "results/orders/cells/*.json",
    "page": "results/table1.md",
    "table": "results/table1.csv",
    "comparison": "results/compare_table1.json",
    "curves": f"{CURVES}.csv",
    "picture": f"{CURVES}.png",
    "table of the profile": "results/embedded/table1.csv",
    "pinned file": "data/digits.npz",
}
"""Every kind of file that lies behind a table or is one."""


def delete(file: Path, others: list[Path]) -> None:
    file.unlink()


def truncate(file: Path, others: list[Path]) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def swap(file: Path, others: list[Path]) -> None:
    """Put another profile's file of the same kind there, with its own time of change."""
    shutil.copy2(next(path for path in others if path.read_bytes() != file.read_bytes()), file)


ACTIONS: dict[str, Callable[[Path, list[Path]], None]] = {"deleted": delete, "truncated": truncate, "of another": swap}
SAME_EVERYWHERE = ("data", "pinned file", "order", "cell", "task")
"""Kinds of which another profile has no other content, or none of that name."""


def cases() -> Iterator[tuple[str, str, bool, bool]]:
    for kind, action, changed, forgotten in itertools.product(KINDS, ACTIONS, (False, True), (False, True)):
        if action != "of another" or kind not in SAME_EVERYWHERE:
            yield kind, action, changed, forgotten


CASES = [(*case, command) for case, command in itertools.product(cases(), COMMANDS)]


def marked(case: tuple) -> object:
    """A case of ``make test``, or of ``make chaos`` only."""
    position = CASES.index(case)
    return pytest.param(*case, marks=[pytest.mark.chaos] if position % 217 else [], id="-".join(map(str, case)))


def shown(place: Workflow) -> dict[str, bytes]:
    return {name: (place.folder / name).read_bytes() for name in SHOWN}


def made(folder: Path, settings: dict) -> Workflow:
    """A clone with a finished table, as `dvc repro` makes it from nothing."""
    place = Workflow(copy_of_the_repository(folder))
    place.write_profile(settings)
    for name in ("dvc.lock", "data/digits.npz"):
        (folder / name).unlink(missing_ok=True)
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "clone"]):
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)
    place.run("dvc", "repro", "table1")
    return place


@pytest.fixture(scope="session")
def old(tmp_path_factory):
    """A clone with the table of the old profile, from nothing, as all of these."""
    return made(tmp_path_factory.mktemp("old") / "clone", OLD)


@pytest.fixture(scope="session")
def changed_key(tmp_path_factory):
    return made(tmp_path_factory.mktemp("changed") / "clone", CHANGED)


@pytest.fixture(scope="session")
def new(tmp_path_factory):
    return made(tmp_path_factory.mktemp("new") / "clone", NEW)


def test_the_profiles_show_different_tables(old, changed_key, new):
    """So that an old number is never right by chance."""
    for name in ("results/table1.csv", f"{CURVES}.csv"):
        assert len({shown(place)[name] for place in (old, changed_key, new)}) == 3


@pytest.fixture
def place(old, tmp_path):
    """A copy of the old profile's clone, times of change and all."""
    shutil.copytree(old.folder, tmp_path / "clone", symlinks=True)
    return Workflow(tmp_path / "clone")


def judge(place: Workflow, command: str, expected: dict[str, bytes]) -> None:
    done = place.run(*COMMANDS[command], check=False)
    TALLY.tables += 1
    if done.returncode:
        TALLY.refused += 1
        told = [line for line in (done.stdout + done.stderr).splitlines() if "error: " in line.lower()]
        assert told, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        raise AssertionError(f"refused, and this suite mends all of these: {told}")
    found = shown(place)
    TALLY.differing += found != expected
    assert found == expected


@pytest.mark.parametrize(("kind", "action", "changed", "forgotten", "command"), [marked(case) for case in CASES])
def test_a_finished_table_after_a_change(kind, action, changed, forgotten, command, place, old, changed_key, new):
    file = sorted(place.folder.glob(KINDS[kind]))[0]
    ACTIONS[action](file, sorted(new.folder.glob(KINDS[kind])))
    if changed:
        place.write_profile(CHANGED)
    if forgotten:
        shutil.rmtree(place.folder / ".snakemake")
    judge(place, command, shown(changed_key if changed else old))


@pytest.mark.parametrize("seed", [pytest.param(seed, marks=[pytest.mark.chaos] if seed else []) for seed in range(50)])
def test_a_workflow_killed_after_a_change_of_its_profile(seed, place, new):
    """The old table stands there all the while; it is never taken for the new one."""
    coin = random.Random(seed)
    place.write_profile(NEW)
    process = place.launch()
    try:
        process.wait(coin.uniform(0.5, 9))
    except subprocess.TimeoutExpired:
        stop_all(process, signal.SIGKILL)
        process.wait()
        TALLY.kills += 1
    if coin.random() < 0.3:
        shutil.rmtree(place.folder / ".snakemake")
    place.snakemake("--unlock", check=False)
    judge(place, coin.choice(["snakemake", "dvc"]), shown(new))


def test_a_finished_table_has_nothing_left_to_do(place):
    told = place.snakemake("-n", "results/table1.md")
    assert "Nothing to be done" in told.stdout + told.stderr
    os.utime(place.folder / "results" / "table1.csv")
    assert "up to date" in place.run("dvc", "repro", "table1").stdout


@pytest.mark.chaos
def test_one_profile_after_the_other_leaves_both_intact(place, old, new):
    place.write_profile({**NEW, "profile": "other"})
    place.snakemake("results/table1.md")
    assert (place.folder / "results/embedded/table1.csv").read_bytes() == shown(old)["results/table1.csv"]
    assert (place.folder / "results/other/table1.csv").read_bytes() == shown(new)["results/table1.csv"]
    place.write_profile(OLD)
    done = place.snakemake("results/table1.md")
    assert "rule train" not in done.stdout + done.stderr
    assert shown(place) == shown(old)
