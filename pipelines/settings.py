"""Profiles: read, merged, validated, and resolved into what one run needs. No torch here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from emlc.artefacts import read_json
from emlc.errors import SuiteError

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_PROFILE = ROOT / "config" / "config.yaml"

SIMCLR = "simclr"
"""The ``initialisation`` that needs a dataset's ``pretraining``."""

Settings = dict[str, Any]


class Run(NamedTuple):
    """One run of a profile: which method on which task."""

    method: str
    dataset: str
    noise: str
    rate: float
    seed: int

    @property
    def column(self) -> str:
        """Its dataset and noise as a path."""
        return f"{self.dataset}/{self.noise}-{self.rate}"

    @property
    def folder(self) -> str:
        """Its place below the profile's folder."""
        return f"{self.column}/{self.method}/seed{self.seed}"


def load_settings(paths: Sequence[Path]) -> Settings:
    """Read profile files (YAML or JSON), later ones over earlier ones, and validate the result.

    Raises
    ------
    SuiteError
        If a file cannot be read or parsed, or a key is unknown, missing or of the wrong kind (names the key).
    """
    merged: Settings = {}
    for path in paths:
        merged = _merge(merged, read_yaml(Path(path)))
    return validated(merged)


def validated(settings: Mapping[str, Any]) -> Settings:
    """Return `settings` if they are a valid profile.

    Raises
    ------
    SuiteError
        Naming the key and what is wrong with it.
    """
    schema = read_json(ROOT / "config" / "schema.json")
    error = best_match(Draft202012Validator(schema).iter_errors(settings))
    if error is not None:
        key = ".".join(str(part) for part in error.absolute_path) or "the profile"
        raise SuiteError(f"config key {key}: {error.message}")
    for position, column in enumerate(settings["columns"]):
        if column["dataset"] not in settings["datasets"]:
            known = ", ".join(settings["datasets"])
            raise SuiteError(
                f"config key columns.{position}.dataset: unknown dataset {column['dataset']!r}; known: {known}"
            )
        _check_initialisation(settings, column["dataset"])
    return dict(settings)


def _check_initialisation(settings: Mapping[str, Any], dataset: str) -> None:
    if any(initialisation(settings, method) == SIMCLR for method in settings["methods"]):
        _pretraining(settings, dataset)


def protocol(settings: Settings) -> dict[str, Any]:
    """Return what the profile's protocol stands for (``config/protocols.yaml``)."""
    return read_yaml(ROOT / "config" / "protocols.yaml")[settings["protocol"]]


def runs(settings: Settings) -> list[Run]:
    """Return every run of the profile's table: methods x columns x seeds."""
    return [
        Run(method, column["dataset"], column["noise"], column["rate"], seed)
        for column in settings["columns"]
        for method in settings["methods"]
        for seed in settings["seeds"]
    ]


def task_spec(settings: Settings, dataset: str, noise: str, rate: float) -> dict[str, Any]:
    """Return what decides a task besides its seed and its data.

    Raises
    ------
    SuiteError
        If the profile has no such dataset.
    """
    return {
        "dataset": dataset,
        "noise": noise,
        "rate": rate,
        "sampling": _sampling(settings, dataset, noise, rate),
        "split": protocol(settings)["split"],
        "clean_per_class": _named(settings, "datasets", dataset)["clean_per_class"],
    }


def run_spec(settings: Settings, run: Run) -> dict[str, Any]:
    """Return everything that decides a run besides its task: what its record keeps as ``config``.

    Raises
    ------
    SuiteError
        If the profile has no such method or dataset.
    """
    method = _named(settings, "methods", run.method)
    dataset = _named(settings, "datasets", run.dataset)
    rules = protocol(settings)
    implementation = method["implementation"]
    return {
        "profile": settings["profile"],
        "protocol": settings["protocol"],
        "implementation": implementation,
        "options": {**rules["options"].get(implementation, {}), **method.get("options", {})},
        "training": {**settings["training"], **method.get("training", {})},
        "model": dataset["model"],
        "crop_padding": dataset["crop_padding"],
        "order": rules["order"],
        "device": settings["device"],
        "threads": settings["threads"],
        **_start(settings, run),
    }


def initialisation(settings: Mapping[str, Any], method: str) -> str:
    """Return where a method's networks start from: ``scratch``, or a SimCLR encoder (``simclr``)."""
    return settings["methods"][method].get("initialisation", settings["initialisation"])


def pretraining_spec(settings: Settings, dataset: str) -> dict[str, Any]:
    """Return what decides a dataset's SimCLR encoder besides its data.

    Raises
    ------
    SuiteError
        If the profile has no such dataset, or the dataset no recipe but a checkpoint or nothing.
    """
    recipe = _pretraining(settings, dataset)
    if "checkpoint" in recipe:
        raise SuiteError(f"nothing to pretrain: datasets.{dataset}.pretraining names a checkpoint to start from")
    return {
        "profile": settings["profile"],
        "pretraining": recipe,
        "model": settings["datasets"][dataset]["model"],
        "device": settings["device"],
        "threads": settings["threads"],
    }


def encoder_file(settings: Settings, dataset: str) -> str:
    """Return the checkpoint that a dataset's SimCLR runs start from: one that the profile names, or the one trained."""
    trained = f"results/pretrained/{settings['profile']}/{dataset}.pt"
    return _pretraining(settings, dataset).get("checkpoint", trained)


def dataset_options(settings: Settings, name: str) -> dict[str, Any]:
    """Return what :func:`emlc.data.open_dataset` needs to open a dataset of the profile.

    Raises
    ------
    SuiteError
        If the profile has no such dataset.
    """
    dataset = _named(settings, "datasets", name)
    return {"kind": dataset["kind"], **dataset.get("options", {})}


def _start(settings: Settings, run: Run) -> dict[str, Any]:
    start = initialisation(settings, run.method)
    recipe = {"pretraining": _pretraining(settings, run.dataset)} if start == SIMCLR else {}
    return {"initialisation": start, **recipe}


def _pretraining(settings: Mapping[str, Any], dataset: str) -> dict[str, Any]:
    recipe = _named(settings, "datasets", dataset).get("pretraining")
    if recipe is None:
        raise SuiteError(f"config key datasets.{dataset}.pretraining: missing, yet runs are to start from SimCLR")
    return recipe


def _sampling(settings: Settings, dataset: str, noise: str, rate: float) -> str:
    for column in settings["columns"]:
        if (column["dataset"], column["noise"], column["rate"]) == (dataset, noise, rate):
            return column.get("sampling", "per-label")
    return "per-label"


def _named(settings: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    if name not in settings[kind]:
        known = ", ".join(settings[kind])
        raise SuiteError(f"unknown {kind.removesuffix('s')} {name!r} in profile {settings['profile']}; known: {known}")
    return settings[kind][name]


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping that a YAML (or JSON) file holds.

    Raises
    ------
    SuiteError
        If it cannot be read or is no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SuiteError(f"cannot read {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise SuiteError(f"{path} is not valid YAML: {reason}") from error
    if not isinstance(content, dict):
        raise SuiteError(f"{path} is not a profile: it must be a mapping of keys, see config/config.yaml")
    return content


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = {key: _merge(base[key], over[key]) for key in base.keys() & over.keys() if _both_mappings(base, over, key)}
    return {**base, **over, **both}


def _both_mappings(base: Mapping[str, Any], over: Mapping[str, Any], key: str) -> bool:
    return isinstance(base[key], Mapping) and isinstance(over[key], Mapping)
