import json

from snakemake.exceptions import WorkflowError

from emlc.artefacts import write_text
from emlc.data import open_dataset
from emlc.errors import SuiteError
from pipelines.environment import use_this_interpreter
from pipelines.plan import check_disk, plan
from pipelines.pointers import read_pointer
from pipelines.settings import (
    ROOT,
    SIMCLR,
    Run,
    dataset_options,
    encoder_file,
    pretraining_spec,
    run_spec,
    runs,
    seed_chunks,
    task_spec,
    validated,
)
from pipelines.sources import sources

use_this_interpreter()

try:
    SETTINGS = validated(config)
except SuiteError as error:
    raise WorkflowError(str(error)) from None

PROFILE = SETTINGS["profile"]
RUN_FILES = ("record.json", "history.csv", "steps.csv")


wildcard_constraints:
    dataset="[a-z0-9-]+",
    noise="[a-z0-9-]+",
    rate=r"[0-9.]+",
    method="[a-z0-9-]+",
    seed="[0-9]+",


def run_of(wildcards):
    """A run of the cell that a record's path names; its seeds differ in nothing but their tasks."""
    return Run(wildcards.method, wildcards.dataset, wildcards.noise, float(wildcards.rate), SETTINGS["seeds"][0])


def run_sources(wildcards):
    """The source files that a run depends on."""
    return sources("pipelines.train", run_spec(SETTINGS, run_of(wildcards))["implementation"])


def pretrained(wildcards):
    """The encoder that a run starts from: one file, or none if it starts from scratch."""
    starts_from_simclr = run_spec(SETTINGS, run_of(wildcards))["initialisation"] == SIMCLR
    return [encoder_file(SETTINGS, wildcards.dataset)] if starts_from_simclr else []


def records(wildcards):
    """The record of every run of the profile."""
    return [f"results/runs/{PROFILE}/{run.folder}/record.json" for run in runs(SETTINGS)]


def pointers():
    """Every .dvc file of the profile's datasets, by the file that it pins (relative to the repository)."""
    names = {column["dataset"] for column in SETTINGS["columns"]}
    datasets = [open_dataset(name, dataset_options(SETTINGS, name)) for name in sorted(names)]
    pinned = [pointer for dataset in datasets for pointer in dataset.pointers if pointer.endswith(".dvc")]
    return {str(read_pointer(ROOT / pointer).target.relative_to(ROOT)): pointer for pointer in pinned}


def dataset_files(wildcards):
    """The files that a dataset is prepared from."""
    dataset = open_dataset(wildcards.dataset, dataset_options(SETTINGS, wildcards.dataset))
    by_pointer = {pointer: file for file, pointer in POINTERS.items()}
    return [by_pointer.get(pointer, pointer) for pointer in dataset.pointers]


POINTERS = pointers()
