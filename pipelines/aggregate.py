"""Aggregate run records to the cells of a table: mean, standard deviation and number of seeds."""

import csv
import io
import statistics
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any

from emlc.judging.cells import RESULT_COLUMNS
from emlc.records.artefacts import write_json, write_text
from emlc.records.errors import SuiteError
from emlc.records.record import COMPLETED, read_record
from pipelines.machine.cli import Parser, run
from pipelines.profile.load import load_settings
from pipelines.profile.settings import (
    DEFAULT_PROFILE,
    Run,
    Settings,
    column_datasets,
    dataset_title,
    method_settings,
    run_spec,
    runs,
    task_folder,
)

NOT_RUN = "not run"


def collect(settings: Settings, folder: Path) -> list[dict[str, Any]]:
    """Return one summary per run of the profile's table, in the profile's order; see :func:`summaries`."""
    return summaries(settings, runs(settings), folder)


def summaries(settings: Settings, wanted: Iterable[Run], folder: Path) -> list[dict[str, Any]]:
    """Return one summary per run.

    Parameters
    ----------
    settings : dict
    wanted : iterable of Run
    folder : Path
        Holds ``<run.folder>/record.json``.

    Returns
    -------
    list of dict
        ``run`` (its axes), ``label`` and ``title`` (what the profile calls its method and dataset), ``status``, and
        ``record`` (None where there is none).

    Raises
    ------
    SuiteError
        If a record is damaged, edited, of another run or not of the profile's hyper-parameters, or two are of
        different data or different draws of the same task.
    """
    found = [_summary(settings, which, folder / which.folder / "record.json") for which in wanted]
    recorded = [item for item in found if item["record"] is not None]
    _check_shared(recorded, "data", folder, lambda which: which.dataset)
    _check_shared(recorded, "task", folder, lambda which: (task_folder(settings, which), which.seed))
    return found


def _check_shared(found: Sequence[dict[str, Any]], what: str, folder: Path, place: Callable[[Run], Hashable]) -> None:
    """Refuse runs that share the place of their data or task, but were not made from the same bytes."""
    first: dict[Hashable, dict[str, Any]] = {}
    for item in found:
        known = first.setdefault(place(item["run"]), item)
        one, other = (each["record"][what]["sha256"] for each in (known, item))
        if one != other:
            paths = [folder / each["run"].folder / "record.json" for each in (known, item)]
            raise SuiteError(
                f"{paths[0]} and {paths[1]} are of different {what} (sha256 {one[:12]} and {other[:12]}), "
                "so they cannot be compared; delete the outdated one and run again"
            )


def _summary(settings: Settings, which: Run, path: Path) -> dict[str, Any]:
    label = method_settings(settings, which.method)["label"]
    names = {"run": which, "label": label, "title": dataset_title(settings, which.dataset)}
    if not path.exists():
        return {**names, "status": NOT_RUN, "record": None}
    record = read_record(path)
    if {key: record["run"][key] for key in Run._fields} != which._asdict():
        raise SuiteError(f"{path} is the record of another run ({record['run']}); delete it and run again")
    _check_config(path, record["config"], run_spec(settings, which))
    return {**names, "status": record["status"], "record": record}


def _check_config(path: Path, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    for key in {**ours, **theirs}:
        if theirs.get(key) != ours.get(key):
            raise SuiteError(
                f"{path} was run with {key} {theirs.get(key)!r}, where the profile says {ours.get(key)!r}; "
                "delete it and run again"
            )


def aggregate(settings: Settings, summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the table as plain data: cells in the profile's order, and what the page says about it.

    A cell's accuracy is the mean over the seeds that completed, by the profile's ``selection``; its standard
    deviation is that of a sample (n - 1).
    """
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for item in summaries:
        which = item["run"]
        groups.setdefault((which.method, which.dataset, which.noise, which.rate), []).append(item)
    return {
        "profile": settings["profile"],
        "protocol": settings["protocol"],
        "selection": settings["selection"],
        "seeds": settings["seeds"],
        "datasets": _datasets(settings, summaries),
        "methods": [method["label"] for method in settings["methods"].values()],
        "cells": [_cell(settings, group) for group in groups.values()],
    }


def _cell(settings: Settings, group: Sequence[dict[str, Any]]) -> dict[str, Any]:
    which = group[0]["run"]
    completed = [item["record"] for item in group if item["status"] == COMPLETED]
    accuracies = [record["test_accuracy"][settings["selection"]] for record in completed]
    return {
        "method": group[0]["label"],
        "dataset": group[0]["title"],
        "noise_type": which.noise,
        "noise_rate": which.rate,
        "mean": round(statistics.fmean(accuracies), 4) if accuracies else None,
        "std": round(statistics.stdev(accuracies), 4) if len(accuracies) > 1 else None,
        "n_seeds": len(accuracies),
        "accuracies": accuracies,
        "effective_rates": [round(record["task"]["effective_rate"], 4) for record in completed],
        "failed": [_failure(item) for item in group if item["status"] not in (COMPLETED, NOT_RUN)],
        "missing": sum(item["status"] == NOT_RUN for item in group),
    }


def _failure(item: dict[str, Any]) -> dict[str, Any]:
    return {"seed": item["run"].seed, "folder": item["run"].folder, "error": item["record"]["error"]}


def _datasets(settings: Settings, summaries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    facts = {}
    for item in summaries:
        if item["record"] is not None:
            facts.setdefault(item["run"].dataset, item["record"]["data"])
    return [{"title": dataset_title(settings, name), **facts.get(name, {})} for name in column_datasets(settings)]


def as_csv(table: dict[str, Any]) -> str:
    """Return the tidy table: one line per cell, the accuracy in %."""
    text = io.StringIO()
    writer = csv.DictWriter(text, RESULT_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(table["cells"])
    return text.getvalue()


def as_metrics(table: dict[str, Any]) -> dict[str, Any]:
    """Return the means as nested plain data for ``dvc metrics``: dataset, noise, method."""
    metrics: dict[str, Any] = {}
    for cell in table["cells"]:
        noise = f"{cell['noise_type']}-{cell['noise_rate']}"
        metrics.setdefault(cell["dataset"], {}).setdefault(noise, {})[cell["method"]] = cell["mean"]
    return metrics


def main(argv: Sequence[str]) -> int:
    """Run the step."""
    parser = Parser("pipelines.aggregate", description=__doc__)
    parser.add_argument("--config", type=Path, nargs="+", default=[DEFAULT_PROFILE], help="profile files")
    parser.add_argument("--runs", type=Path, required=True, help="the profile's folder of run records")
    parser.add_argument("--csv", type=Path, required=True, help="tidy table to write")
    parser.add_argument("--json", type=Path, required=True, help="the same with seeds and failures")
    parser.add_argument("--metrics", type=Path, required=True, help="nested means for dvc metrics")
    args = parser.parse_args(argv)
    settings = load_settings(args.config)
    table = aggregate(settings, collect(settings, args.runs))
    write_text(args.csv, as_csv(table))
    write_json(args.json, table)
    write_json(args.metrics, as_metrics(table))
    return 0


if __name__ == "__main__":
    run(main)
