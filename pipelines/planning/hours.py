"""How long runs and pretrainings took where they are recorded: what a plan's hours are made of."""

import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from emlc.records.artefacts import canonical_json, read_json
from emlc.records.record import COMPLETED, read_record
from emlc.records.record import SCHEMA as RUN_SCHEMA

PRETRAINING_SCHEMA = "emlc.engine.pretraining/1"
SPEED = Path("results/speed.json")
"""What :mod:`pipelines.speed` last measured; relative to the root folder."""
TABLE_TIME = Path("docs/time.json")
"""How long `make table1` took, from nothing, and on how fast a machine; relative to the root folder."""


def run_key(title: str, device: str, spec: Mapping[str, Any]) -> str:
    """Return what decides how long an epoch takes: dataset, device, network, method, options, batch size, precision,
    number of processes.

    Parameters
    ----------
    title : str
        Of the dataset, as tables print it.
    device : str
        As records name it.
    spec : mapping
        Identity of the run (:meth:`pipelines.workflow.steps.Steps.run`).
    """
    training = spec["training"]
    arithmetic = [training["batch_size"], training.get("precision", "float32")]
    parts = [spec["model"], spec["implementation"], spec["options"], *arithmetic, training.get("processes", 1)]
    return canonical_json([title, device, *parts])


def pretraining_key(title: str, device: str, spec: Mapping[str, Any]) -> str:
    """Return the same of a pretraining (`spec`: its identity)."""
    return canonical_json([title, device, spec["model"], spec["pretraining"].get("batch_size")])


def recorded_times(folders: Iterable[Path]) -> dict[str, float]:
    """Return seconds per epoch, evaluation included, by key: the median over all records below `folders`.

    Raises
    ------
    SuiteError
        If a record is damaged or edited.
    """
    times: dict[str, list[float]] = {}
    for path in sorted(path for folder in folders for path in folder.rglob("*.json")):
        if path.parent.name.startswith("."):  # what a killed process left
            continue
        for key, seconds in _time(path):
            times.setdefault(key, []).append(seconds)
    return {key: statistics.median(values) for key, values in times.items()}


def _time(path: Path) -> list[tuple[str, float]]:
    """Return key and seconds per epoch of the record in a file: one pair, or none if it holds no finished record."""
    content = read_json(path)
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema == PRETRAINING_SCHEMA:
        key = pretraining_key(content["title"], content["device"], content["config"])
        return [(key, content["timing"]["total_seconds"] / len(content["losses"]))]
    if schema != RUN_SCHEMA or read_record(path)["status"] != COMPLETED:
        return []
    key = run_key(content["run"]["title"], content["device"], content["config"])
    return [(key, content["timing"]["total_seconds"] / len(content["epochs"]))]


def table_time(speed: Path) -> dict[str, Any] | None:
    """Return how long a whole table took, from what :mod:`pipelines.speed` wrote; None if that was of less.

    Returns
    -------
    dict or None
        ``seconds``, ``runs``, and the machine's ``cores`` and ``reference_seconds``.

    Raises
    ------
    SuiteError
        If the file is damaged.
    """
    found = read_json(speed) if speed.exists() else {}
    if not found.get("trained") or found["trained"] < found["runs"]:
        return None
    return {name: found[name] for name in ("seconds", "runs", "cores", "reference_seconds")}


def seconds_here(time: Mapping[str, Any], runs: int, reference_seconds: float, cores: int) -> float:
    """Return about how long `runs` runs of the default profile take on a machine, from :func:`table_time` of another.

    In proportion to the reference loop (:mod:`pipelines.machine.speed`), and shared out to the cores.
    """
    work = time["seconds"] * time["cores"] / time["reference_seconds"] / time["runs"]
    return work * runs * reference_seconds / cores
