"""Profiles: read, laid over one another and checked, before anything is run. No torch here."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from jsonschema.validators import extend

from emlc.data.human import KINDS as HUMAN_KINDS
from emlc.judging.cells import Cell
from emlc.records.artefacts import read_json
from emlc.records.errors import SuiteError
from pipelines.profile.mappings import as_mapping, merged, read_yaml
from pipelines.profile.settings import (
    ROOT,
    SIMCLR,
    Settings,
    column_datasets,
    dataset_title,
    initialisation,
    pretraining_recipe,
)

_WHOLE_NUMBERS = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
# JSON Schema counts 15.0 among the integers; as a number of epochs or a seed's folder it is none.
_Validator = extend(Draft202012Validator, type_checker=_WHOLE_NUMBERS)


def load_settings(paths: Sequence[Path]) -> Settings:
    """Read profile files (YAML or JSON), later ones over earlier ones, and validate the result.

    Raises
    ------
    SuiteError
        If a file cannot be read or parsed, or a key is unknown, missing or of the wrong kind (names the key).
    """
    settings: Settings = {}
    for path in paths:
        settings = merged(settings, _read_profile(Path(path)))
    return validated(settings)


def _read_profile(path: Path) -> dict[str, Any]:
    # YAML 1.1 takes the 1e-05 that JSON writes for a text, so the two are not read alike.
    return as_mapping(read_json(path), path) if path.suffix == ".json" else read_yaml(path)


def validated(settings: Mapping[str, Any]) -> Settings:
    """Return `settings` if they are a valid profile.

    Raises
    ------
    SuiteError
        Naming the key and what is wrong with it.
    """
    _check_finite(settings)
    _check_schema(settings)
    _check_columns(settings)
    for dataset in column_datasets(settings):
        _check_initialisation(settings, dataset)
    _check_names(dict(settings))
    _check_variants(settings)
    _check_evidence(settings)
    return dict(settings)


def _check_finite(settings: Mapping[str, Any]) -> None:
    for key, value in _leaves(settings):
        if isinstance(value, float) and not math.isfinite(value):
            raise SuiteError(f"config key {'.'.join(key)}: {value} is not a finite number")


def _leaves(value: Any, key: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _leaves(part, (*key, str(name)))
    elif isinstance(value, list):
        for position, part in enumerate(value):
            yield from _leaves(part, (*key, str(position)))
    else:
        yield key, value


def _check_schema(settings: Mapping[str, Any]) -> None:
    schema = read_json(ROOT / "config" / "schema.json")
    error = best_match(_Validator(schema).iter_errors(settings))
    if error is not None:
        key = ".".join(str(part) for part in error.absolute_path) or "the profile"
        raise SuiteError(f"config key {key}: {error.message}")


def _check_columns(settings: Mapping[str, Any]) -> None:
    seen: dict[tuple[str, str, float], int] = {}
    for position, column in enumerate(settings["columns"]):
        key = f"config key columns.{position}"
        if column["dataset"] not in settings["datasets"]:
            known = ", ".join(settings["datasets"])
            raise SuiteError(f"{key}.dataset: unknown dataset {column['dataset']!r}; known: {known}")
        if column["noise"] in HUMAN_KINDS:
            _check_human(settings, column, key)
        # Its runs would lie in the same folders, whatever the sampling.
        first = seen.setdefault((column["dataset"], column["noise"], column["rate"]), position)
        if first != position:
            raise SuiteError(f"{key}: dataset, noise and rate are those of columns.{first}; leave one of them out")


def _check_human(settings: Mapping[str, Any], column: Mapping[str, Any], key: str) -> None:
    if "human_labels" not in settings["datasets"][column["dataset"]]:
        missing = f"datasets.{column['dataset']}.human_labels"
        raise SuiteError(f"{key}.noise: {column['noise']} needs the labels' .dvc file; name it as {missing}")
    if "sampling" in column:
        raise SuiteError(f"{key}.sampling: human labels are given, not drawn; leave it out")


def _check_names(settings: Settings) -> None:
    """Tables name methods by their labels and datasets by their titles, spelling aside."""
    labels = {
        f"methods.{name}.label": Cell(method["label"], "").method_key for name, method in settings["methods"].items()
    }
    titles = {
        f"datasets.{name}.options.title": Cell("", dataset_title(settings, name)).dataset_key
        for name in column_datasets(settings)
    }
    for names in (labels, titles):
        first: dict[str, str] = {}
        for key, name in names.items():
            if first.setdefault(name, key) != key:
                raise SuiteError(f"config key {key}: the same name as {first[name]}; rows need names of their own")


def _check_variants(settings: Mapping[str, Any]) -> None:
    for name, variant in settings.get("variants", {}).items():
        if name in settings["methods"]:
            raise SuiteError(f"config key variants.{name}: a method has this name; runs lie in folders of their method")
        _check_known(f"variants.{name}.of", "method", variant["of"], settings["methods"])


def _check_evidence(settings: Mapping[str, Any]) -> None:
    """Figures, ablations and the fidelity panel are of the profile's methods, variants and datasets."""
    methods = [*settings["methods"], *settings.get("variants", {})]
    for key, names in _evidence_methods(settings):
        for name in names:
            _check_known(key, "method", name, methods)
    blocks = {f"figures.{name}": figure for name, figure in settings.get("figures", {}).items()}
    if "ablations" in settings:
        blocks["ablations"] = settings["ablations"]
    if "fidelity" in settings:
        blocks["fidelity"] = {**settings["fidelity"], "methods": [settings["fidelity"]["method"]]}
    for key, block in blocks.items():
        dataset = block["column"]["dataset"]
        _check_known(f"{key}.column.dataset", "dataset", dataset, settings["datasets"])
        if any(initialisation(settings, method) == SIMCLR for method in block.get("methods", methods)):
            pretraining_recipe(settings, dataset)


def _evidence_methods(settings: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for name, figure in settings.get("figures", {}).items():
        yield f"figures.{name}.methods", figure["methods"]
    yield "timing.methods", settings.get("timing", {}).get("methods", [])
    yield "fidelity.method", [settings["fidelity"]["method"]] if "fidelity" in settings else []
    ablations = settings.get("ablations", {})
    yield "ablations.gradients", ablations.get("gradients", [])
    for position, question in enumerate(ablations.get("questions", [])):
        yield f"ablations.questions.{position}.reference", [question["reference"]]
        yield f"ablations.questions.{position}.variants", question["variants"]


def _check_known(key: str, kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise SuiteError(f"config key {key}: unknown {kind} {name!r}; known: {', '.join(known)}")


def _check_initialisation(settings: Mapping[str, Any], dataset: str) -> None:
    if any(initialisation(settings, method) == SIMCLR for method in settings["methods"]):
        pretraining_recipe(settings, dataset)
