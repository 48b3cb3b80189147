# Numbers and records -> verdicts on what the paper says.

from pipelines.settings import column_datasets

# What the claims read beside the table, and the page shows.
MEASURED = ["results/splits.csv"]


rule claims:
    input:
        table="results/table1.json",
        published=expand(
            "published/{name}",
            name=["claims.yaml", "provenance.yaml", "table1.csv", "table2.csv", "elsewhere.csv", "timing.csv"],
        ),
        measured=MEASURED,
        sources=sources("pipelines.claims"),
    output:
        md="results/claims.md",
        json="results/claims.json",
    log:
        "results/logs/claims.log",
    shell:
        "python -m pipelines.claims --table {input.table:q} --md {output.md:q} --json {output.json:q} > {log:q} 2>&1"


rule splits:
    input:
        data=expand("results/data/{dataset}.npz", dataset=column_datasets(SETTINGS)),
        sources=sources("pipelines.splits"),
    output:
        csv="results/splits.csv",
        md="results/splits.md",
    log:
        "results/logs/splits.log",
    params:
        shown={key: SETTINGS[key] for key in ("seeds", "datasets", "columns")},
    shell:
        "python -m pipelines.splits --config results/settings.json --data results/data --csv {output.csv:q}"
        " --md {output.md:q} > {log:q} 2>&1"
