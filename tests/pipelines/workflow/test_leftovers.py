"""Which checkpoints go when a workflow has succeeded: those of what is done, and no others."""

import pytest

from pipelines.profile.load import validated
from pipelines.workflow.leftovers import delete_checkpoints
from tests.tiny import tiny_profile

CELL = "digits/sym-0.5/emlc-k5"
SETTINGS = validated(tiny_profile(seeds=[0, 1, 2], seeds_per_job=2))


@pytest.fixture
def left(tmp_path):
    """Make checkpoints and records, delete what is done, and say which checkpoints are left."""

    def names(checkpoints, records):
        kept = tmp_path / "checkpoints" / "tiny"
        for path in (*(kept / name for name in checkpoints), *(tmp_path / name for name in records)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        delete_checkpoints(SETTINGS, tmp_path)
        assert kept.exists() == any(kept.rglob("*.pt"))
        return {str(path.relative_to(kept)) for path in kept.rglob("*.pt")}

    return names


def record(seed):
    return f"runs/tiny/{CELL}/seed{seed}/record.json"


def test_nothing_is_left_of_a_whole_table(left):
    files = [f"{CELL}/seed{seed}.pt" for seed in (0, 1, 2)] + ["digits.pt"]
    assert left(files, [record(0), record(1), record(2), "pretrained/tiny/digits.json"]) == set()


def test_a_run_without_its_record_keeps_its_checkpoint(left):
    assert left([f"{CELL}/seed2.pt", "digits/sym-0.5/mlc/seed2.pt"], [record(2)]) == {"digits/sym-0.5/mlc/seed2.pt"}


def test_a_run_is_not_done_before_the_others_of_its_job(left):
    """Seed 0 has been trained and seed 1 not begun: the job makes both anew, the first from its checkpoint."""
    assert left([f"{CELL}/seed0.pt", f"{CELL}/seed2.pt"], [record(0), record(2)]) == {f"{CELL}/seed0.pt"}


def test_a_pretraining_without_its_record_keeps_its_checkpoint(left):
    assert left(["digits.pt", "other.pt"], ["pretrained/tiny/other.json"]) == {"digits.pt"}


def test_checkpoints_of_another_profile_are_not_touched(tmp_path, left):
    other = tmp_path / "checkpoints" / "other" / CELL / "seed0.pt"
    other.parent.mkdir(parents=True)
    other.touch()
    left([f"{CELL}/seed0.pt"], [record(0), record(1)])
    assert other.exists()


def test_no_checkpoints_at_all(left):
    assert left([], []) == set()
