"""What a workflow that has succeeded need not keep: the checkpoints of what is done."""

import contextlib
from pathlib import Path

from emlc.records.store import RUNS, SEAL, place


def delete_checkpoints(results: Path) -> None:
    """Delete the checkpoints of runs and pretrainings that are in the store. What cannot be deleted does no harm."""
    for file in (results / "checkpoints").glob("*.pt"):
        if any((place(results, kind, file.stem) / SEAL).exists() for kind in (RUNS, "encoders")):
            with contextlib.suppress(OSError):
                file.unlink()
    with contextlib.suppress(OSError):  # there is none, or it holds others'
        (results / "checkpoints").rmdir()
