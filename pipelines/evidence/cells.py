"""Run records to the cells of a table: mean, standard deviation and number of seeds."""

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from emlc.judging.cells import RESULT_COLUMNS
from emlc.judging.paired import CLEAN_ONLY, Column, Comparison, compared
from emlc.records.record import COMPLETED
from pipelines.evidence.records import Shown

CHOOSING = "best-clean"
"""The rule of selection that looks at clean labels."""

PLACE = ("dataset", "noise_type", "noise_rate")
"""What makes a column of a table."""

SAID = ("profile", "protocol", "title", "selection", "selections", "seeds", "methods")
"""What a table's page says of it as its order does."""


def as_table(facts: Mapping[str, Any], runs: Sequence[Shown]) -> dict[str, Any]:
    """Return a table as plain data: cells in the order of the runs, and what the page says about it.

    A cell's accuracy is the mean over the seeds that completed, by the table's ``selection``; its standard deviation
    is that of a sample (n - 1).

    Parameters
    ----------
    facts : mapping
        ``profile``, ``protocol``, ``title``, ``selection``, ``selections`` (of methods that report by another, by
        label), ``seeds``, ``datasets`` (title and date) and ``methods``
        (labels).
    runs : sequence of Shown
    """
    groups: dict[tuple[Any, ...], list[Shown]] = {}
    for run in runs:
        groups.setdefault((run.key, run.dataset, run.noise, run.rate), []).append(run)
    own = facts["selections"]
    cells = [_cell(own.get(group[0].method, facts["selection"]), group) for group in groups.values()]
    return {
        **{name: facts[name] for name in SAID},
        "datasets": _datasets(facts["datasets"], runs),
        "versions": _versions(runs),
        "cells": cells,
        "paired": _paired(cells),
    }


def _cell(selection: str, group: Sequence[Shown]) -> dict[str, Any]:
    completed = [run for run in group if run.completed]
    accuracies = [run.record["test_accuracy"][selection] for run in completed]
    return {
        "method": group[0].method,
        "dataset": group[0].dataset,
        "noise_type": group[0].noise,
        "noise_rate": group[0].rate,
        "mean": round(statistics.fmean(accuracies), 4) if accuracies else None,
        "std": round(statistics.stdev(accuracies), 4) if len(accuracies) > 1 else None,
        "n_seeds": len(accuracies),
        "accuracies": accuracies,
        "by_seed": {str(run.seed): value for run, value in zip(completed, accuracies, strict=True)},
        "effective_rates": [round(run.record["task"]["effective_rate"], 4) for run in completed],
        "runs": {str(run.seed): _place(run) for run in group},
        "failed": [_failure(run) for run in group if not run.completed],
        "recipe": {**recipe_of(group[0].record), "selection": selection},
        "clean_labels": _clean_labels((completed or group)[0].record["task"], selection),
    }


def _clean_labels(task: Mapping[str, Any], selection: str) -> dict[str, int | None]:
    """Return how many clean labels a run could be trained on, was trained on (None: it failed) and was selected on."""
    chose = task["validation"] if selection == CHOOSING else 0
    return {"given": task["clean"], "trained": task.get("clean_trained_on"), "selected": chose}


def _paired(cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return each column's paired comparisons (:mod:`emlc.judging.paired`)."""
    columns: dict[tuple[Any, ...], dict[str, Any]] = {}
    for cell in cells:
        place = tuple(cell[name] for name in PLACE)
        columns.setdefault(place, {})[cell["method"]] = cell["by_seed"]
    found = {place: compared(scores, CLEAN_ONLY) for place, scores in columns.items()}
    return [
        dict(zip(PLACE, place, strict=True)) | {"best": column.best, "top": list(column.top)} | _comparisons(column)
        for place, column in found.items()
        if column is not None
    ]


def _comparisons(column: Column) -> dict[str, list[dict[str, Any]]]:
    return {name: [_comparison(one) for one in getattr(column, name)] for name in ("with_best", "with_clean")}


def _comparison(one: Comparison) -> dict[str, Any]:
    numbers = {"difference": one.difference.mean, "low": one.difference.low, "high": one.difference.high, "p": one.p}
    rounded = {name: None if value is None else round(value, 4) for name, value in numbers.items()}
    return {"method": one.method, "reference": one.reference, **rounded, "n": one.difference.n, "real": one.real}


def _failure(run: Shown) -> dict[str, Any]:
    return {"seed": run.seed, "folder": _place(run), "error": run.record["error"]}


def _place(run: Shown) -> str:
    """Return where a run lies, seen from the repository: equal wherever that is."""
    return f"results/runs/{run.folder.name}"


def recipe_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a run was trained, in the words of ``published/provenance.yaml``; older records tell less."""
    config, training = record["config"], record["config"]["training"]
    told = {
        "network": config["model"]["name"],
        "initialisation": config["initialisation"],
        "epochs": training["epochs"],
        "batch_size": training["batch_size"],
        "padding": config["crop_padding"],
        "padding_content": config.get("padding"),
        "clean_images": record["task"]["clean"],
        "validation_images": record["task"].get("validation_only"),
    }
    return {key: value for key, value in told.items() if value is not None}


def _datasets(datasets: Sequence[Mapping[str, Any]], runs: Sequence[Shown]) -> list[dict[str, Any]]:
    checksums = {run.dataset: run.record["data"]["sha256"] for run in reversed(runs)}
    return [{**dataset, "sha256": checksums[dataset["title"]]} for dataset in datasets]


def _versions(runs: Sequence[Shown]) -> list[str]:
    """Return the versions of PyTorch that the runs were trained with."""
    return sorted({run.record["versions"]["torch"] for run in runs if run.record["status"] == COMPLETED})


def as_csv(table: Mapping[str, Any]) -> str:
    """Return the tidy table: one line per cell, the accuracy in %."""
    text = io.StringIO()
    writer = csv.DictWriter(text, RESULT_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table["cells"])
    return text.getvalue()


def as_metrics(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the means as nested plain data for ``dvc metrics``: dataset, noise, method."""
    metrics: dict[str, Any] = {}
    for cell in table["cells"]:
        noise = f"{cell['noise_type']}-{cell['noise_rate']}"
        metrics.setdefault(cell["dataset"], {}).setdefault(noise, {})[cell["method"]] = cell["mean"]
    return metrics
