# Runs -> table, comparison, figures.


rule aggregate:
    input:
        records=records,
        sources=sources("pipelines.aggregate"),
    output:
        csv=f"results/{TABLE}.csv",
        json=f"results/{TABLE}.json",
        metrics="results/metrics.json",
    log:
        "results/logs/aggregate.log",
    params:
        runs=f"results/runs/{PROFILE}",
        shown={key: SETTINGS[key] for key in ("selection", "seeds", "methods", "columns")},
    shell:
        "python -m pipelines.aggregate --config results/settings.json --runs {params.runs:q} --csv {output.csv:q}"
        " --json {output.json:q} --metrics {output.metrics:q} > {log:q} 2>&1"


rule table:
    input:
        table=f"results/{TABLE}.json",
        published=PUBLISHED,
        compared=f"results/compare_{TABLE}.md" if PUBLISHED else [],
        curves="results/figures/convergence.png",
        sources=sources("pipelines.table"),
    output:
        f"results/{TABLE}.md",
    log:
        "results/logs/table.log",
    params:
        title=table_facts(SETTINGS)["title"],
    shell:
        "python -m pipelines.table {input.table:q} {input.published:q} --title {params.title:q} --out {output:q}"
        " > {log:q} 2>&1"


rule compare:
    input:
        table=f"results/{TABLE}.csv",
        runs=f"results/{TABLE}.json",
        published=PUBLISHED,
        provenance="published/provenance.yaml",
        sources=sources("pipelines.compare"),
    output:
        md=f"results/compare_{TABLE}.md",
        json=f"results/compare_{TABLE}.json",
    log:
        "results/logs/compare.log",
    shell:
        # Status 1 says that a cell deviates: a finding for the reader, no failure of the workflow.
        "python -m pipelines.compare {input.table:q} {input.published:q} --table {input.runs:q} --md {output.md:q}"
        " --json {output.json:q} > {log:q} 2>&1 || test $? -eq 1"


rule curves:
    input:
        records=records,
        sources=sources("pipelines.curves"),
    output:
        png=report("results/figures/convergence.png", caption="captions/convergence.rst", category="Figures"),
        svg="results/figures/convergence.svg",
        csv="results/figures/convergence.csv",
        wide=expand(
            "results/figures/convergence/{column}.csv",
            column=[f"{c['dataset']}_{c['noise']}-{c['rate']}" for c in SETTINGS["columns"]],
        ),
    log:
        "results/logs/curves.log",
    params:
        runs=f"results/runs/{PROFILE}",
        shown={key: SETTINGS[key] for key in ("seeds", "methods", "columns")},
        folder=subpath(output.png, parent=True),
    shell:
        "python -m pipelines.curves --config results/settings.json --runs {params.runs:q} --out {params.folder:q}"
        " > {log:q} 2>&1"
