"""Results of two machines: equal runs agree, new ones come along, conflicting ones are named and nothing is copied."""

import json
import shutil

import pytest

from emlc.records.artefacts import file_digest, read_json, write_json
from emlc.records.errors import SuiteError
from emlc.records.record import read_record, seal
from emlc.records.store import SEAL, Order, filling, sound
from pipelines.merge import main, merge
from pipelines.profile.load import checked
from pipelines.workflow.runs import Run
from pipelines.workflow.steps import Steps
from tests.pipelines.records import write_run
from tests.tiny import tiny_profile

PROFILE = checked(tiny_profile())


def steps(results):
    return Steps(PROFILE, results)


def run_order(results, seed):
    return steps(results).run(Run("cross-entropy", "digits", "sym", 0.5, seed))


def write(results, seed, accuracy=90.0):
    """Put a run, its task and its cell's seal into a store."""
    write_run(steps(results), Run("cross-entropy", "digits", "sym", 0.5, seed), [accuracy])
    task = Order("tasks", {"seed": seed}, {}, results)
    with filling(task) as folder:
        (folder / "task.npz").write_text(f"task {seed}")
    with filling(Order("cells", {"runs": [seed]}, {}, results)):
        pass


@pytest.fixture
def machines(tmp_path):
    """Ours has seeds 0 and 1, theirs 1 and 2."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for results, seed in ((ours, 0), (ours, 1), (theirs, 1), (theirs, 2)):
        write(results, seed)
    return ours, theirs


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def reseal(order, changes):
    """Change a record and seal both it and the artefact again, as only somebody who wants to does."""
    path = order.folder / "record.json"
    record = read_record(path)
    content = {key: value for key, value in record.items() if key not in ("schema", "fingerprint", "sha256")}
    path.write_text(json.dumps(seal({**content, **changes})))
    sealed = read_json(order.folder / SEAL)
    write_json(order.folder / SEAL, sealed | {"files": sealed["files"] | {"record.json": file_digest(path, "sha256")}})
    assert sound(order)


def test_what_is_new_is_copied_and_what_agrees_is_left_alone(machines, capsys):
    ours, theirs = machines
    before = files(ours)
    assert main([str(theirs), "--into", str(ours)]) == 0
    assert "copied 3, already there and equal 3" in capsys.readouterr().err
    after = files(ours)
    assert {name: after[name] for name in before} == before
    assert after.keys() == before.keys() | files(theirs).keys()
    new = after.keys() - before.keys()
    assert {name: after[name] for name in new if SEAL not in name} == {
        name: content for name, content in files(theirs).items() if name in new and SEAL not in name
    }
    assert sound(run_order(ours, 2))
    assert merge([theirs], ours) == {"copied": 0, "agreed": 6}


def test_times_are_no_difference(machines):
    ours, theirs = machines
    reseal(run_order(theirs, 1), {"timing": {"total_seconds": 5.0}})
    assert merge([theirs], ours) == {"copied": 3, "agreed": 3}
    assert read_record(run_order(ours, 1).folder / "record.json")["timing"] == {"total_seconds": 1.0}


def test_conflicts_are_named_and_nothing_is_copied(machines):
    ours, theirs = machines
    reseal(run_order(theirs, 1), {"device": "cpu (other)"})
    before, (one, other) = files(ours), (run_order(results, 1) for results in machines)
    with pytest.raises(SuiteError) as caught:
        merge([theirs], ours)
    assert str(caught.value) == (
        f"1 conflicts, nothing merged; keep one of each: runs {one.id} ({one.folder} and {other.folder}: other device)"
    )
    assert files(ours) == before


def test_two_others_must_agree_among_themselves(machines, tmp_path):
    ours, theirs = machines
    write(tmp_path / "third", 2, accuracy=10.0)
    with pytest.raises(SuiteError, match=r"^1 conflicts.*theirs.* and .*third.*: other epochs, files, test_accuracy"):
        merge([theirs, tmp_path / "third"], ours)


DAMAGES = {
    "edited record": (lambda folder: (folder / "record.json").write_text("{}"), r"record\.json was changed"),
    "edited steps": (lambda folder: (folder / "steps.csv").write_text("1\n"), r"steps\.csv was changed"),
    "lost history": (lambda folder: (folder / "history.csv").unlink(), r"cannot read .*history\.csv"),
    "lost seal": (lambda folder: (folder / SEAL).unlink(), "is not there, or not whole"),
    "empty seal": (lambda folder: (folder / SEAL).write_text("[]"), "holds something else"),
    "renamed": (lambda folder: folder.rename(folder.parent / ("0" * 20)), "holds something else"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_runs_are_refused_by_name(machines, damage):
    ours, theirs = machines
    spoil, message = DAMAGES[damage]
    spoil(run_order(theirs, 2).folder)
    before = files(ours)
    with pytest.raises(SuiteError, match=message):
        merge([theirs], ours)
    assert files(ours) == before


@pytest.mark.parametrize("damage", DAMAGES)
def test_ours_that_is_damaged_is_replaced_by_theirs_that_is_not(machines, damage):
    ours, theirs = machines
    DAMAGES[damage][0](run_order(ours, 1).folder)
    merge([theirs], ours)
    assert sound(run_order(ours, 1))


def test_parts_of_unfinished_artefacts_are_no_results(machines):
    ours, theirs = machines
    shutil.copytree(run_order(theirs, 2).folder, theirs / "runs" / ".abc.part")
    assert merge([theirs], ours)["copied"] == 3


def test_a_folder_without_results_is_refused(machines, tmp_path):
    with pytest.raises(SuiteError, match="holds no results"):
        merge([tmp_path / "nothing"], machines[0])
