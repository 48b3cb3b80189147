"""Files truncated, flipped, edited or swapped behind the suite's back: refused by name, and the table is the same."""

import json
import random
import shutil
import signal
from pathlib import Path

import pytest

from pipelines.train import runs_of
from tests.chaos.children import signalled, start
from tests.chaos.place import METHODS, SEEDS, TALLY, Place, Step, kill_often
from tests.stores import put_data
from tests.tiny import tiny_arrays


def truncate(path: Path, coin: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: coin.randrange(path.stat().st_size)])


def flip(path: Path, coin: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[coin.randrange(len(content))] ^= 1 << coin.randrange(8)
    path.write_bytes(content)


def empty(path: Path, coin: random.Random) -> None:
    path.write_bytes(b"")


DAMAGES = [flip, *(pytest.param(damage, marks=pytest.mark.chaos) for damage in (truncate, empty))]


def tell(place: Place, step: Step, path: Path) -> None:
    """A step refuses a file in one line that names it, and makes nothing."""
    place.log.unlink(missing_ok=True)
    assert place.do(step) == 2
    (line,) = place.told().splitlines()
    assert line.startswith("error: ")
    assert path.name in line
    assert not place.is_made(step)
    TALLY.refused += 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_task(damage, place, same):
    for seed in SEEDS:
        place.repair(place.inject(seed))
    damage(place.task(1), random.Random(1))
    tell(place, place.train("cross-entropy"), place.task(1))
    assert place.record("cross-entropy", 0).exists()  # the other seed had its run
    same(place)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_data(damage, place, same):
    place.repair(place.inject(0))
    damage(place.data, random.Random(2))
    tell(place, place.inject(1), place.data)
    put_data(place.jobs, tiny_arrays())
    same(place)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record(damage, place, same):
    place.finish()
    shutil.rmtree(place.table_order.folder)
    damage(place.record("mslc", 1), random.Random(3))
    tell(place, place.tabulate(), place.record("mslc", 1))
    same(place)


def test_a_record_edited_by_hand(place, same):
    place.finish()
    shutil.rmtree(place.table_order.folder)
    path = place.record("mlnt", 0)
    record = json.loads(path.read_text())
    record["test_accuracy"]["best-clean"] = 99.9
    path.write_text(json.dumps(record))
    tell(place, place.tabulate(), path)
    same(place)


def test_records_of_two_runs_swapped(place, same):
    place.finish()
    shutil.rmtree(place.table_order.folder)
    one, other = place.record("mlnt", 0), place.record("mlnt", 1)
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    place.log.unlink(missing_ok=True)
    assert place.do(place.tabulate()) == 2
    assert f"{one} was changed" in place.told()
    same(place)


@pytest.mark.chaos
def test_tasks_of_two_seeds_swapped(place, same):
    for seed in SEEDS:
        place.repair(place.inject(seed))
    content = place.task(0).read_bytes()
    place.task(0).write_bytes(place.task(1).read_bytes())
    place.task(1).write_bytes(content)
    place.log.unlink(missing_ok=True)
    assert place.do(place.train("cross-entropy")) == 2
    assert f"{place.task(0)} was changed" in place.told()
    assert not place.records()
    same(place)


def stopped_half_way(place: Place, seconds: float) -> list[Path]:
    """Leave checkpoints of a training that was asked to stop."""
    for seed in SEEDS:
        place.repair(place.inject(seed))
    step = place.train("mslc")
    for part in range(1, 9):
        signalled(start(step.module, step.argv, place.log), signal.SIGTERM, seconds * part / 8)
        kept = sorted(place.kept.rglob("*.pt"))
        if kept and not place.is_made(step):
            return kept
        for order in runs_of(step.order):
            shutil.rmtree(order.folder, ignore_errors=True)
    raise AssertionError(place.told())


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint(damage, place, undisturbed, same):
    for path in stopped_half_way(place, undisturbed.seconds["mslc"]):
        damage(path, random.Random(4))
    place.log.unlink()
    same(place)
    assert "is damaged or no checkpoint" in place.told()


@pytest.mark.chaos
def test_a_checkpoint_of_another_seed(place, undisturbed, same):
    first = stopped_half_way(place, undisturbed.seconds["mslc"])[0]
    content = first.read_bytes()
    for seed in SEEDS:
        (place.kept / f"{place.run('mslc', seed).id}.pt").write_bytes(content)
        shutil.rmtree(place.run("mslc", seed).folder, ignore_errors=True)
    same(place)
    assert "is of another run (id differ)" in place.told()


@pytest.mark.chaos
def test_a_half_written_file_beside_the_real_one(place, same):
    """What a SIGKILL in the middle of writing leaves is never taken for the artefact."""
    place.repair(place.inject(0))
    for path in (place.task(1).parent, place.record("mlnt", 0).parent, place.kept / "x.pt"):
        half = path.parent / f".{path.name}.abc.part"
        half.mkdir(parents=True, exist_ok=True)
        (half / "record.json").write_bytes(b"half")
    same(place)


def test_a_diverging_method_fails_by_name_and_leaves_the_others_alone(tmp_path, undisturbed):
    wild = {"label": "Wild", "implementation": "baselines.cross_entropy", "training": {"lr": 1e30}}
    place = Place(tmp_path / "place", methods={**METHODS, "wild": wild})
    for seed in SEEDS:
        place.repair(place.inject(seed))
    kill_often(place, place.train("mlnt"), random.Random(6), 2, undisturbed.seconds["mlnt"])
    table = place.finish().decode()
    before = undisturbed.table.read_text().splitlines()
    assert [line for line in table.splitlines() if "Wild" not in line] == before
    assert f"{place.run('wild', 0).id} failed: DivergenceError" in place.told()
    assert not list(place.kept.glob(f"{place.run('wild', 0).id}.pt"))
    TALLY.tables += 1
