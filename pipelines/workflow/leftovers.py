"""What a workflow that has succeeded need not keep: the checkpoints of what is done."""

import contextlib
from pathlib import Path

from pipelines.profile.settings import Settings, seed_chunks


def delete_checkpoints(settings: Settings, results: Path) -> None:
    """Delete the checkpoints of runs and pretrainings that have their records, and the folders that this empties.

    Seeds that train in one job go together: as long as one of them has no record, a repeated job repeats them all, and
    goes on from what it finds. What cannot be deleted does no harm.
    """
    kept = results / "checkpoints" / settings["profile"]
    runs, encoders = (results / name / settings["profile"] for name in ("runs", "pretrained"))
    for cell in {file.parent for file in kept.glob("*/*/*/seed*.pt")}:
        for chunk in seed_chunks(settings):
            records = [runs / cell.relative_to(kept) / f"seed{seed}" / "record.json" for seed in chunk]
            _delete([cell / f"seed{seed}.pt" for seed in chunk], records)
    for file in kept.glob("*.pt"):
        _delete([file], [encoders / f"{file.stem}.json"])
    for folder in sorted([kept, *kept.rglob("*")], reverse=True):
        with contextlib.suppress(OSError):  # a file, or a folder that is not empty
            folder.rmdir()


def _delete(checkpoints: list[Path], records: list[Path]) -> None:
    if all(record.exists() for record in records):
        for file in checkpoints:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
