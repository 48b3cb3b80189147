"""Profiles: read, merged, validated, and resolved into what one run needs. No torch here."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from jsonschema.validators import extend

from emlc.artefacts import read_json
from emlc.cells import Cell
from emlc.data import open_dataset
from emlc.data.human import KINDS as HUMAN_KINDS
from emlc.errors import SuiteError
from emlc.task_data import GIVEN

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_PROFILE = ROOT / "config" / "config.yaml"

SIMCLR = "simclr"
"""The ``initialisation`` that needs a dataset's ``pretraining``."""

TABLE_1 = {"name": "table1", "title": "Table 1", "published": "published/table1.csv"}
"""The table that a profile makes if it does not say another."""
CHECKPOINT_MINUTES = 10
"""From one checkpoint to the next within an epoch, unless a profile says otherwise."""

MAX_VALUES = 100_000
"""In one YAML file, each alias counted as what it stands for."""

Settings = dict[str, Any]

_WHOLE_NUMBERS = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
# JSON Schema counts 15.0 among the integers; as a number of epochs or a seed's folder it is none.
_Validator = extend(Draft202012Validator, type_checker=_WHOLE_NUMBERS)


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
        merged = _merge(merged, _read_profile(Path(path)))
    return validated(merged)


def _read_profile(path: Path) -> dict[str, Any]:
    # YAML 1.1 takes the 1e-05 that JSON writes for a text, so the two are not read alike.
    return _mapping(read_json(path), path) if path.suffix == ".json" else read_yaml(path)


def _mapping(content: Any, path: Path) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise SuiteError(f"{path} is not a profile: it must be a mapping of keys, see config/config.yaml")
    return content


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
    """Figures and ablations are of the profile's methods, variants and datasets."""
    methods = [*settings["methods"], *settings.get("variants", {})]
    for key, names in _evidence_methods(settings):
        for name in names:
            _check_known(key, "method", name, methods)
    blocks = {f"figures.{name}": figure for name, figure in settings.get("figures", {}).items()}
    if "ablations" in settings:
        blocks["ablations"] = settings["ablations"]
    for key, block in blocks.items():
        dataset = block["column"]["dataset"]
        _check_known(f"{key}.column.dataset", "dataset", dataset, settings["datasets"])
        if any(initialisation(settings, method) == SIMCLR for method in block.get("methods", methods)):
            _pretraining(settings, dataset)


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


def column_datasets(settings: Mapping[str, Any]) -> list[str]:
    """Return the datasets of the profile's columns, each once."""
    return list(dict.fromkeys(column["dataset"] for column in settings["columns"]))


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


def seed_chunks(settings: Settings) -> list[list[int]]:
    """Return all seeds of the profile in chunks of ``seeds_per_job``, each for one process, in order.

    The table's seeds come first and by themselves, so that no figure or ablation changes which of them train together.
    """
    size, table = settings.get("seeds_per_job", 1), settings["seeds"]
    shown = [*settings.get("figures", {}).values(), settings.get("ablations", {"seeds": []})]
    others = [seed for seed in dict.fromkeys(s for item in shown for s in item["seeds"]) if seed not in table]
    return [seeds[first : first + size] for seeds in (table, others) for first in range(0, len(seeds), size)]


def method_settings(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what the profile says of a method, or of a variant: its base method with what the variant changes.

    Raises
    ------
    SuiteError
        If the profile has neither.
    """
    variants = settings.get("variants", {})
    if name not in variants:
        return _named(settings, "methods", name)
    changes = {key: value for key, value in variants[name].items() if key != "of"}
    return _merge(settings["methods"][variants[name]["of"]], changes)


def split_of(settings: Settings, method: str) -> str:
    """Return the split that a method or variant trains on: the protocol's, unless the variant names another."""
    return method_settings(settings, method).get("split", protocol(settings)["split"])


def task_folder(settings: Settings, run: Run) -> str:
    """Return where a run's task lies below the profile's tasks: its column's folder, or that of another split."""
    split = split_of(settings, run.method)
    return run.column if split == protocol(settings)["split"] else f"{run.column}/{split}"


def task_spec(settings: Settings, dataset: str, noise: str, rate: float, split: str | None = None) -> dict[str, Any]:
    """Return what decides a task besides its seed and its data; its split is the protocol's if none is given.

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
        "split": split or protocol(settings)["split"],
        "clean_per_class": _named(settings, "datasets", dataset)["clean_per_class"],
    }


def run_spec(settings: Settings, run: Run) -> dict[str, Any]:
    """Return everything that decides a run besides its task: what its record keeps as ``config``.

    Raises
    ------
    SuiteError
        If the profile has no such method, variant or dataset.
    """
    method = method_settings(settings, run.method)
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
        "order": method.get("order", rules["order"]),
        "device": settings["device"],
        "threads": settings["threads"],
        **_start(settings, run),
    }


def initialisation(settings: Mapping[str, Any], method: str) -> str:
    """Return where a method's networks start from: ``scratch``, or a SimCLR encoder (``simclr``)."""
    return method_settings(settings, method).get("initialisation", settings["initialisation"])


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


def human_labels(settings: Settings, dataset: str) -> str:
    """Return the ``.dvc`` file that pins a dataset's human labels, relative to the repository.

    Raises
    ------
    SuiteError
        If the profile has no such dataset, or the dataset no human labels.
    """
    pointer = _named(settings, "datasets", dataset).get("human_labels")
    if pointer is None:
        raise SuiteError(f"config key datasets.{dataset}.human_labels: missing, yet human labels are asked for")
    return pointer


def table_facts(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``name`` (of its files), the ``title`` and, if any, the ``published`` numbers of a profile's table."""
    return settings.get("table", TABLE_1)


def dataset_options(settings: Settings, name: str) -> dict[str, Any]:
    """Return what :func:`emlc.data.open_dataset` needs to open a dataset of the profile.

    Raises
    ------
    SuiteError
        If the profile has no such dataset.
    """
    dataset = _named(settings, "datasets", name)
    return {"kind": dataset["kind"], **dataset.get("options", {})}


def dataset_title(settings: Settings, name: str) -> str:
    """Return what tables and figures call a dataset of the profile."""
    return open_dataset(name, dataset_options(settings, name)).title


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
    if noise in HUMAN_KINDS:
        return GIVEN
    for column in settings["columns"]:
        if (column["dataset"], column["noise"], column["rate"]) == (dataset, noise, rate):
            return column.get("sampling", "per-label")
    return "per-label"


def _named(settings: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    if name not in settings[kind]:
        known = ", ".join(settings[kind])
        raise SuiteError(f"unknown {kind.removesuffix('s')} {name!r} in profile {settings['profile']}; known: {known}")
    return settings[kind][name]


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a key that a mapping holds twice, of which YAML's own loader keeps the last without a word."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key.value!r} is there twice", problem_mark=key.start_mark)
            seen.add((key.tag, str(key.value)))
        return node


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping that a YAML file holds.

    Raises
    ------
    SuiteError
        If it cannot be read, gives a key twice or is no mapping.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except OSError as error:
        raise SuiteError(f"cannot read {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, or a date in month 13
        reason = " ".join(str(error).split())
        raise SuiteError(f"{path} is not valid YAML: {reason}") from error
    _check_size(content, path)
    return _mapping(content, path)


def _check_size(content: Any, path: Path) -> None:
    """Refuse what aliases make endless (one within what it names) or next to it."""
    waiting, left = [content], MAX_VALUES
    while waiting:
        value, left = waiting.pop(), left - 1
        if left < 0:
            raise SuiteError(f"{path} stands for more than {MAX_VALUES:,} values: does an alias name what it lies in?")
        if isinstance(value, dict | list):
            waiting.extend(value.values() if isinstance(value, dict) else value)


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    both = {key: _merge(base[key], over[key]) for key in base.keys() & over.keys() if _both_mappings(base, over, key)}
    return {**base, **over, **both}


def _both_mappings(base: Mapping[str, Any], over: Mapping[str, Any], key: str) -> bool:
    return isinstance(base[key], Mapping) and isinstance(over[key], Mapping)
