"""Which checkpoints go when a workflow has succeeded: those of what is done, and no others."""

from emlc.records.store import SEAL, place
from pipelines.workflow.leftovers import delete_checkpoints

RUN, ENCODER, OPEN = "1" * 20, "2" * 20, "3" * 20


def test_what_is_in_the_store_needs_no_checkpoint_and_the_rest_keeps_its_own(tmp_path):
    kept = tmp_path / "checkpoints"
    kept.mkdir()
    for name in (RUN, ENCODER, OPEN):
        (kept / f"{name}.pt").touch()
    for kind, name in (("runs", RUN), ("encoders", ENCODER), ("tasks", OPEN)):
        place(tmp_path, kind, name).mkdir(parents=True)
        (place(tmp_path, kind, name) / SEAL).touch()
    delete_checkpoints(tmp_path)
    assert [path.name for path in kept.iterdir()] == [f"{OPEN}.pt"]
    place(tmp_path, "runs", OPEN).mkdir()
    (place(tmp_path, "runs", OPEN) / SEAL).touch()
    delete_checkpoints(tmp_path)
    assert not kept.exists()


def test_no_checkpoints_at_all(tmp_path):
    delete_checkpoints(tmp_path)
    assert not list(tmp_path.iterdir())
