import json

from snakemake.exceptions import WorkflowError

from emlc.records.artefacts import write_text
from emlc.data import open_dataset
from emlc.data.human import KINDS as HUMAN_KINDS
from emlc.records.errors import SuiteError
from pipelines.machine.environment import use_this_interpreter
from pipelines.evidence.runs import ablation_runs, figure_runs, gradient_runs
from pipelines.workflow.folders import listing_digest
from pipelines.workflow.leftovers import delete_checkpoints
from pipelines.plan import check_disk, plan
from pipelines.fetching.pointers import read_pointer
from pipelines.profile.load import validated
from pipelines.profile.settings import (
    ROOT,
    SIMCLR,
    Run,
    column_datasets,
    dataset_options,
    encoder_file,
    human_labels,
    method_settings,
    method_spec,
    pretraining_spec,
    run_spec,
    runs,
    seed_chunks,
    split_of,
    table_facts,
    task_folder,
    task_spec,
)
from pipelines.workflow.sources import sources

use_this_interpreter()

try:
    SETTINGS = validated(config)
except SuiteError as error:
    raise WorkflowError(str(error)) from None

PROFILE = SETTINGS["profile"]
TABLE, PUBLISHED = table_facts(SETTINGS)["name"], table_facts(SETTINGS).get("published", [])
RUN_FILES = ("record.json", "history.csv", "steps.csv")


wildcard_constraints:
    dataset="[a-z0-9-]+",
    noise="[a-z0-9-]+",
    rate=r"[0-9.]+",
    method="[a-z0-9-]+",
    seed="[0-9]+",
    split="(/[a-z]+)?",


def run_of(wildcards):
    """A run of the cell that a record's path names; its seeds differ in nothing but their tasks."""
    return Run(wildcards.method, wildcards.dataset, wildcards.noise, float(wildcards.rate), SETTINGS["seeds"][0])


def run_sources(wildcards):
    """The source files that a run depends on."""
    return sources("pipelines.train", run_spec(SETTINGS, run_of(wildcards))["implementation"])


def task_of(cell, seed):
    """The task that a cell's run of one seed trains on."""
    return f"results/tasks/{PROFILE}/{task_folder(SETTINGS, run_of(cell))}/seed{seed}.npz"


def tasks_of(chunk):
    """The tasks of some seeds, as a function of their cell."""
    return lambda cell: [task_of(cell, seed) for seed in chunk]


def pretrained(wildcards):
    """The encoder that a run starts from: one file, or none if it starts from scratch."""
    starts_from_simclr = run_spec(SETTINGS, run_of(wildcards))["initialisation"] == SIMCLR
    return [encoder_file(SETTINGS, wildcards.dataset)] if starts_from_simclr else []


def records(wildcards):
    """The record of every run of the profile."""
    return [f"results/runs/{PROFILE}/{run.folder}/record.json" for run in runs(SETTINGS)]


def files_of(wanted, file):
    """A file of every one of some runs."""
    return [f"results/runs/{PROFILE}/{run.folder}/{file}" for run in wanted]


def labels_of(wanted):
    """What figures and ablations call the methods of some runs; no part of a run, so a new name trains nothing."""
    return {run.method: method_settings(SETTINGS, run.method)["label"] for run in wanted}


def probes_of(wanted):
    """The probe of every one of some runs."""
    return [f"results/probes/{PROFILE}/{run.folder}/probe.npz" for run in wanted]


def pointers():
    """Every .dvc file of the profile's datasets, by the file that it pins (relative to the repository)."""
    names = {column["dataset"] for column in SETTINGS["columns"]}
    labelled = {column["dataset"] for column in SETTINGS["columns"] if column["noise"] in HUMAN_KINDS}
    datasets = [open_dataset(name, dataset_options(SETTINGS, name)) for name in sorted(names)]
    pinned = [pointer for dataset in datasets for pointer in dataset.pointers if pointer.endswith(".dvc")]
    pinned += [human_labels(SETTINGS, name) for name in sorted(labelled)]
    return {str(read_pointer(ROOT / pointer).target.relative_to(ROOT)): pointer for pointer in pinned}


def offered(*files):
    """Those of some files that a rule makes."""
    made = {str(output) for rule in workflow.rules for output in rule.output}
    return [file for file in files if file in made]


def dataset_files(wildcards):
    """The files that a dataset is prepared from."""
    dataset = open_dataset(wildcards.dataset, dataset_options(SETTINGS, wildcards.dataset))
    return [pinned_file(pointer) for pointer in dataset.pointers]


def listings(wildcards):
    """What lies in those of a dataset's sources that are folders."""
    return [listing_digest(Path(file)) for file in dataset_files(wildcards)]


def pinned_file(source):
    """The file that a .dvc file pins; any other source is the user's own."""
    return next((file for file, pointer in POINTERS.items() if pointer == source), source)


def human_file(wildcards):
    """The human labels of a task: one file, or none if its noise is drawn."""
    return [f"results/human/{wildcards.dataset}.npz"] if wildcards.noise in HUMAN_KINDS else []


POINTERS = pointers()
