from snakemake.utils import min_version

min_version("9.20")


# Each profile is complete in itself: only without one does the default apply.
if "profile" not in config:

    configfile: "config/config.yaml"


# Ignored unless Snakemake is called with --sdm apptainer; the lock file is what pins the software.
container: "docker://python:3.11-slim"


include: "pipelines/common.smk"
include: "pipelines/data.smk"
include: "pipelines/runs.smk"
include: "pipelines/tables.smk"


localrules:
    all,
    settings,


rule all:
    input:
        "results/table1.md",
        "results/compare_table1.md",
        "results/figures/convergence.png",


onsuccess:
    # A failed run leaves a record, so that the table is built without it; the command still must not look successful.
    if Path("results/table1.json").exists():
        shell("python -m pipelines.failures results/table1.json")
