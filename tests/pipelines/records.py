"""Records as a profile's runs would have left them, made by hand."""

from pathlib import Path
from typing import Any

from emlc.records.record import COMPLETED, FAILED, scores, write_record
from pipelines.profile.settings import Run, Settings, method_settings, run_spec

SHA256 = "0123456789abcdef" * 4
TITLE = "UCI digits"


def content_of(settings: Settings, run: Run, accuracies: list[float] | str, title: str = TITLE) -> dict[str, Any]:
    """Test accuracies by epoch of a run that completed (its last epoch is the selected one), or its error."""
    content = {
        "run": {**run._asdict(), "label": method_settings(settings, run.method)["label"], "title": title},
        "config": run_spec(settings, run),
        "task": {"effective_rate": 0.45678, "sha256": SHA256},
        "data": {"sha256": SHA256, "released": "1998-07"},
    }
    if isinstance(accuracies, str):
        return {**content, "status": FAILED, "error": accuracies}
    epochs = [{"epoch": epoch, "test_accuracy": value} for epoch, value in enumerate(accuracies)]
    selected = len(epochs) - 1
    results = {"selected_epoch": selected, "test_accuracy": scores(epochs, selected), "epochs": epochs}
    return {**content, "status": COMPLETED, **results, "timing": {"total_seconds": 1.0}}


def write_run(folder: Path, settings: Settings, run: Run, accuracies: list[float] | str, **facts: Any) -> Path:
    path = folder / run.folder / "record.json"
    write_record(path, content_of(settings, run, accuracies, **facts))
    return path
