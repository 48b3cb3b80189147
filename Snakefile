from snakemake.utils import min_version

min_version("9.20")


# Each profile is complete in itself: only without one does the default apply.
if "profile" not in config:

    configfile: "config/config.yaml"


include: "pipelines/common.smk"
include: "pipelines/data.smk"
include: "pipelines/pretraining.smk"
include: "pipelines/runs.smk"
include: "pipelines/tables.smk"
include: "pipelines/evidence.smk"
include: "pipelines/ledger.smk"


localrules:
    all,


rule all:
    input:
        f"results/{TABLE}.md",
        f"results/compare_{TABLE}.md" if PUBLISHED else [],
        "results/figures/convergence.png",


onstart:
    try:
        check_disk(plan(SETTINGS, ROOT, device="", times={}), ROOT)
    except SuiteError as error:
        raise WorkflowError(str(error)) from None
    # What all steps read. Neither an input (a change of it re-runs nothing; a change of what a run needs, in `params`,
    # does) nor made while parsing: a dry run beside a running workflow must not change its profile.
    write_text(
        Path("results/settings.json"), json.dumps(SETTINGS, indent=1) + "\n"
    )  # tables keep the order of methods


onsuccess:
    # Not those of a killed workflow, of which this one may have made a part only.
    delete_checkpoints(SETTINGS, Path("results"))
    # A failed run leaves a record, so that the table is built without it; the command still must not look successful.
    if Path(f"results/{TABLE}.json").exists():
        shell(f"python -m pipelines.failures results/{TABLE}.json")
