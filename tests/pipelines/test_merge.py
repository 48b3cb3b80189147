"""Results of two machines: equal runs agree, new ones come along, conflicting ones are named and nothing is copied."""

import json
import shutil

import pytest

from emlc.records.errors import SuiteError
from emlc.records.record import files_digests, read_record, seal, write_record
from pipelines.merge import main, merge
from pipelines.profile.load import validated
from pipelines.profile.settings import Run
from tests.pipelines.records import content_of
from tests.tiny import tiny_profile

SETTINGS = validated(tiny_profile())
RUNS = "runs/tiny/digits/sym-0.5/cross-entropy"


def write(results, seed, accuracy=90.0, seconds=1.0):
    folder = results / RUNS / f"seed{seed}"
    folder.mkdir(parents=True)
    for name in ("history.csv", "steps.csv"):
        (folder / name).write_text(f"{accuracy}\n")
    run = Run("cross-entropy", "digits", "sym", 0.5, seed)
    content = {**content_of(SETTINGS, run, [accuracy]), "timing": {"total_seconds": seconds}}
    write_record(folder / "record.json", {**content, "files": files_digests(folder, ("history.csv", "steps.csv"))})
    (results / "tasks" / "tiny").mkdir(parents=True, exist_ok=True)
    (results / "tasks" / "tiny" / f"seed{seed}.npz").write_text(f"task {seed}")


@pytest.fixture
def machines(tmp_path):
    """Ours has seeds 0 and 1, theirs 1 (as long as it took there) and 2."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    write(ours, 0)
    write(ours, 1, seconds=5.0)
    write(theirs, 1)
    write(theirs, 2)
    return ours, theirs


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_new_is_copied_and_what_agrees_is_left_alone(machines, capsys):
    ours, theirs = machines
    before = files(ours)
    assert main([str(theirs), "--into", str(ours)]) == 0
    assert "copied 2, already there and equal 2" in capsys.readouterr().err
    after = files(ours)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {name for name in files(theirs) if "seed2" in name}
    assert all(after[name] == content for name, content in files(theirs).items() if "seed2" in name)
    record, task = ours / RUNS / "seed2" / "record.json", ours / "tasks" / "tiny" / "seed2.npz"
    assert task.stat().st_mtime_ns <= record.stat().st_mtime_ns  # or the workflow would repeat the run
    assert merge([theirs], ours) == {"copied": 0, "agreed": 4}


def test_conflicts_are_named_and_nothing_is_copied(machines):
    ours, theirs = machines
    shutil.rmtree(theirs / RUNS / "seed1")
    write(theirs, 1, accuracy=91.0)
    (theirs / "tasks" / "tiny" / "seed1.npz").write_text("another draw")
    before = files(ours)
    with pytest.raises(SuiteError) as caught:
        merge([theirs], ours)
    assert str(caught.value) == (
        f"2 conflicts, nothing merged; keep one of each: tasks/tiny/seed1.npz ({ours} and {theirs}: other bytes); "
        f"{RUNS}/seed1 ({ours} and {theirs}: other epochs, files, test_accuracy)"
    )
    assert files(ours) == before


def test_two_others_must_agree_among_themselves(machines, tmp_path):
    ours, theirs = machines
    write(tmp_path / "third", 2, accuracy=10.0)
    with pytest.raises(SuiteError, match=r"^1 conflicts.*seed2 .*theirs and .*third"):
        merge([theirs, tmp_path / "third"], ours)


def edit_record(folder):
    record = json.loads((folder / "record.json").read_text())
    record["test_accuracy"]["best-clean"] += 1
    (folder / "record.json").write_text(json.dumps(record))


DAMAGES = {
    "edited record": (edit_record, r"record\.json does not match its sha256"),
    "edited steps": (lambda folder: (folder / "steps.csv").write_text("1\n"), r"steps\.csv is not the file of its"),
    "lost history": (lambda folder: (folder / "history.csv").unlink(), r"cannot read .*history\.csv"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_runs_are_refused_by_name(machines, damage):
    ours, theirs = machines
    spoil, message = DAMAGES[damage]
    spoil(theirs / RUNS / "seed2")
    before = files(ours)
    with pytest.raises(SuiteError, match=message):
        merge([theirs], ours)
    assert files(ours) == before


def test_a_folder_without_results_is_refused(machines, tmp_path):
    with pytest.raises(SuiteError, match="holds no results"):
        merge([tmp_path / "nothing"], machines[0])


def test_a_resealed_record_conflicts(machines):
    """A seal proves no origin, so an edited and resealed record is still told from ours."""
    ours, theirs = machines
    folder = theirs / RUNS / "seed1"
    record = read_record(folder / "record.json")
    content = {key: value for key, value in record.items() if key not in ("schema", "fingerprint", "sha256")}
    (folder / "record.json").write_text(json.dumps(seal({**content, "device": "cpu (other)"})))
    with pytest.raises(SuiteError, match=r"seed1 .*: other device"):
        merge([theirs], ours)
