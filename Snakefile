from snakemake.utils import min_version

min_version("9.20")


# A profile stands by itself (or on its `base:`): only without one does the default apply.
if "profile" not in config:

    configfile: "config/config.yaml"


include: "pipelines/common.smk"
include: "pipelines/data.smk"
include: "pipelines/training.smk"
include: "pipelines/pages.smk"


localrules:
    all,


rule all:
    input:
        [f"results/{name}.md" for name in PROFILE.tables],
        [f"results/{PROFILE.profile}/figures/convergence_{name}.png" for name in PROFILE.tables],


onstart:
    without_default_limit(workflow.scheduler)
    try:
        check_sources(JOBS)
        check_disk(JOBS)
    except SuiteError as error:
        raise WorkflowError(str(error)) from None


onsuccess:
    delete_checkpoints(JOBS.results)
    # A failed run leaves a record, so that the table is built without it; the command still must not look successful.
    for name in PROFILE.tables:
        if JOBS.is_current(f"{name}.json"):
            shell(f"python -m pipelines.failures results/{name}.json")
