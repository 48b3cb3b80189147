"""Runs in a store as their training would have left them, made by hand."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from emlc.records.artefacts import write_text
from emlc.records.record import COMPLETED, FAILED, files_digests, scores, write_record
from emlc.records.store import Order, filling
from pipelines.train import HISTORIES, as_csv
from pipelines.workflow.runs import Run
from pipelines.workflow.steps import Steps

SHA256 = "0123456789abcdef" * 4
NAMES = ("profile", "protocol", "method", "label", "dataset", "title", "noise", "rate", "seed")


def content_of(order: Order, accuracies: list[float] | str) -> dict[str, Any]:
    """Test accuracies by epoch of a run that completed (its last epoch is the selected one), or its error."""
    content = {
        "run": {name: order.about[name] for name in NAMES},
        "id": order.id,
        "config": order.identity,
        "task": {
            "sha256": SHA256,
            "effective_rate": 0.45678,
            "clean": 15,
            "validation": 15,
            "validation_only": 0,
            "noisy": 65,
            "warnings": [],
        },
        "data": {"sha256": SHA256, "released": order.about["released"]},
        "pretrained": None,
        "versions": {"python": "3.11.0", "torch": "2.15.0"},
        "device": "cpu (x86_64)",
    }
    if isinstance(accuracies, str):
        return {**content, "status": FAILED, "error": accuracies}
    learns_from_clean = order.identity["implementation"] != "baselines.cross_entropy"
    content["task"]["clean_trained_on"] = content["task"]["clean"] if learns_from_clean else 0
    epochs = [{"epoch": epoch, "test_accuracy": value} for epoch, value in enumerate(accuracies)]
    selected = len(epochs) - 1
    results = {"selected_epoch": selected, "test_accuracy": scores(epochs, selected), "epochs": epochs}
    return {**content, "status": COMPLETED, **results, "timing": {"total_seconds": 1.0}}


def write_run(steps: Steps, run: Run, accuracies: list[float] | str, metrics: Sequence[dict[str, Any]] = ()) -> Order:
    """Put a run into the store: record, history, the metrics of its steps, seal."""
    order = steps.run(run)
    content = content_of(order, accuracies)
    with filling(order) as folder:
        write_text(folder / "history.csv", as_csv(content.get("epochs", ()), ["epoch"]))
        write_text(folder / "steps.csv", as_csv(metrics, ["step"]))
        write_record(folder / "record.json", {**content, "files": files_digests(folder, HISTORIES)})
    return order


def made(order: Order, make: Callable[[Order, Path], None]) -> Path:
    """Let a command make what an order asks for; return the artefact's folder."""
    with filling(order) as folder:
        make(order, folder)
    return order.folder
