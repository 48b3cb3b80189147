"""What a profile's settings mean: which runs there are and what each needs. No torch here."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from emlc.data import open_dataset
from emlc.data.human import KINDS as HUMAN_KINDS
from emlc.records.errors import SuiteError
from emlc.tasks.task import GIVEN
from pipelines.profile.mappings import merged, read_yaml

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_PROFILE = ROOT / "config" / "config.yaml"

SIMCLR = "simclr"
"""The ``initialisation`` that needs a dataset's ``pretraining``."""

TABLE_1 = {"name": "table1", "title": "Table 1", "published": "published/table1.csv"}
"""The table that a profile makes if it does not say another."""

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


def column_datasets(settings: Mapping[str, Any]) -> list[str]:
    """Return the datasets of the profile's columns, each once."""
    return list(dict.fromkeys(column["dataset"] for column in settings["columns"]))


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
    return merged(settings["methods"][variants[name]["of"]], changes)


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


def method_spec(settings: Settings, name: str) -> dict[str, Any]:
    """Return what decides how a method or variant trains, whatever its data.

    Raises
    ------
    SuiteError
        If the profile has no such method or variant.
    """
    method, rules = method_settings(settings, name), protocol(settings)
    implementation = method["implementation"]
    return {
        "implementation": implementation,
        "options": {**rules["options"].get(implementation, {}), **method.get("options", {})},
        "training": {**settings["training"], **method.get("training", {})},
        "order": method.get("order", rules["order"]),
    }


def run_spec(settings: Settings, run: Run) -> dict[str, Any]:
    """Return everything that decides a run besides its task: what its record keeps as ``config``.

    Raises
    ------
    SuiteError
        If the profile has no such method, variant or dataset.
    """
    method = method_spec(settings, run.method)
    order = method.pop("order")
    dataset = _named(settings, "datasets", run.dataset)
    return {
        "profile": settings["profile"],
        "protocol": settings["protocol"],
        **method,
        "model": dataset["model"],
        "crop_padding": dataset["crop_padding"],
        "padding": dataset.get("padding", "zero"),
        "auto_augment": dataset.get("auto_augment", "cifar10"),
        "order": order,
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
    recipe = pretraining_recipe(settings, dataset)
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
    return pretraining_recipe(settings, dataset).get("checkpoint", trained)


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


def checkpoint_minutes(settings: Mapping[str, Any]) -> float:
    """Return the minutes from one checkpoint to the next within an epoch."""
    return settings.get("checkpoint_minutes", 10)


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
    recipe = {"pretraining": pretraining_recipe(settings, run.dataset)} if start == SIMCLR else {}
    return {"initialisation": start, **recipe}


def pretraining_recipe(settings: Mapping[str, Any], dataset: str) -> dict[str, Any]:
    """Return the profile's SimCLR recipe for a dataset, or the checkpoint that stands in for one.

    Raises
    ------
    SuiteError
        If the profile has no such dataset, or the dataset neither of the two.
    """
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
