# Numbers and records -> verdicts on what the paper says.

import os

FIGURES = [f"results/figures/{name}" for name in ("convergence", *SETTINGS.get("figures", {}))]
PAGES = [f"results/{name}" for name in ("timing", "metagrad", *(["ablations"] if "ablations" in SETTINGS else []))]
# What the claims read beside the table, and what else the page shows; nothing else that lies in results/ counts as
# made, another profile may have left it there.
MEASURED = ["results/splits.csv", *offered(*(f"{file}.csv" for file in (*FIGURES, *PAGES)))]
SHOWN = [
    "results/splits.md",
    *offered(*(f"{file}.{kind}" for file in (*FIGURES, *PAGES) for kind in ("svg", "txt", "md"))),
]
# For the page's commands.
PROFILE_FILES = [os.path.relpath(file) for file in workflow.overwrite_configfiles]
THE_PAPERS = [
    f"published/{name}"
    for name in ("claims.yaml", "provenance.yaml", "table1.csv", "table2.csv", "elsewhere.csv", "timing.csv")
]


rule claims:
    input:
        table=f"results/{TABLE}.json",
        published=THE_PAPERS,
        measured=MEASURED,
        sources=sources("pipelines.claims"),
    output:
        md=report("results/claims.md", caption="captions/claims.rst", category="Claims"),
        json="results/claims.json",
    log:
        "results/logs/claims.log",
    shell:
        "python -m pipelines.claims --table {input.table:q} --measured {input.measured:q} --md {output.md:q}"
        " --json {output.json:q} > {log:q} 2>&1"


rule splits:
    input:
        data=expand("results/data/{dataset}.npz", dataset=column_datasets(SETTINGS)),
        sources=sources("pipelines.splits"),
    output:
        csv="results/splits.csv",
        md=report("results/splits.md", caption="captions/splits.rst", category="Splits"),
    log:
        "results/logs/splits.log",
    params:
        shown={key: SETTINGS[key] for key in ("seeds", "datasets", "columns")},
    shell:
        "python -m pipelines.splits --config results/settings.json --data results/data --csv {output.csv:q}"
        " --md {output.md:q} > {log:q} 2>&1"


rule report:
    input:
        records=records,
        table=f"results/{TABLE}.json",
        compared=f"results/compare_{TABLE}.json" if PUBLISHED else [],
        claims="results/claims.json",
        published=list(dict.fromkeys([*THE_PAPERS, *([PUBLISHED] if PUBLISHED else [])])),
        measured=MEASURED,
        shown=SHOWN,
        page=sorted(str(path.relative_to(ROOT)) for path in (ROOT / "pipelines" / "page").iterdir()),
        sources=sources("pipelines.report"),
    output:
        report("results/report.html", caption="captions/report.rst", category="All of it"),
    log:
        "results/logs/report.log",
    params:
        runs=f"results/runs/{PROFILE}",
        configfile=PROFILE_FILES,
    shell:
        "python -m pipelines.report --config results/settings.json --runs {params.runs:q}"
        " --shown {input.measured:q} {input.shown:q} --configfile {params.configfile:q} --out {output:q}"
        " > {log:q} 2>&1"
