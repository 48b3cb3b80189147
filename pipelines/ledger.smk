# Numbers and records -> verdicts on what the paper says.


rule claims:
    input:
        table="results/table1.json",
        published=expand(
            "published/{name}",
            name=["claims.yaml", "provenance.yaml", "table1.csv", "table2.csv", "elsewhere.csv", "timing.csv"],
        ),
        sources=sources("pipelines.claims"),
    output:
        md="results/claims.md",
        json="results/claims.json",
    log:
        "results/logs/claims.log",
    shell:
        "python -m pipelines.claims --table {input.table:q} --md {output.md:q} --json {output.json:q} > {log:q} 2>&1"
