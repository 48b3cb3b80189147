# Runs, and runs trained once more under observation -> figures, ablations; networks -> timing, meta-gradient fidelity.

from pipelines.evidence import figure_runs
from pipelines.settings import method_settings

TIMED = ["cross-entropy", "mlc", "mlc-double-backward", "emlc-k1", "emlc-k5"]


def files_of(wanted, file):
    """A file of every one of some runs."""
    return [f"results/runs/{PROFILE}/{run.folder}/{file}" for run in wanted]


def figure_files(name):
    """What a figure step writes."""
    return [f"results/figures/{name}.{suffix}" for suffix in ("png", "svg", "csv", "txt")]


rule fig5:
    input:
        records=files_of(figure_runs(SETTINGS, "fig5"), "record.json"),
        steps=files_of(figure_runs(SETTINGS, "fig5"), "steps.csv"),
        sources=sources("pipelines.objective"),
    output:
        figure_files("fig5"),
    log:
        "results/logs/fig5.log",
    params:
        runs=f"results/runs/{PROFILE}",
        shown=SETTINGS.get("figures", {}).get("fig5"),
        folder="results/figures",
    shell:
        "python -m pipelines.objective --config results/settings.json --runs {params.runs:q} --out {params.folder:q}"
        " > {log:q} 2>&1"


def timed(wildcards):
    """What the methods whose time is taken are."""
    return [method_settings(SETTINGS, name) for name in TIMED]


rule timing:
    input:
        sources=lambda wildcards: sources("pipelines.timing", *(m["implementation"] for m in timed(wildcards))),
    output:
        csv="results/timing.csv",
        md="results/timing.md",
    log:
        "results/logs/timing.log",
    threads: workflow.cores  # nothing else runs meanwhile
    resources:
        gpu=int(SETTINGS["device"] != "cpu"),
    params:
        methods=timed,
        training=SETTINGS["training"],
        names=TIMED,
        device=SETTINGS["device"],
        folder=subpath(output.csv, parent=True),
    shell:
        "python -m pipelines.timing --config results/settings.json --methods {params.names:q} --device {params.device:q}"
        " --out {params.folder:q} > {log:q} 2>&1"
