# Runs and probes -> tables, figures and pages, and their copies in sight.


rule table:
    input:
        order=order("tables"),
        reads=reads("tables"),
    output:
        seal("tables"),
    log:
        "results/logs/tables/{id}.log",
    localrule: True
    shell:
        "python -m pipelines.table {input.order:q} > {log:q} 2>&1"


rule curves:
    input:
        order=order("curves"),
        reads=reads("curves"),
    output:
        seal("curves"),
    log:
        "results/logs/curves/{id}.log",
    localrule: True
    shell:
        "python -m pipelines.curves {input.order:q} > {log:q} 2>&1"


rule figure:
    input:
        order=order("figures"),
        reads=reads("figures"),
    output:
        seal("figures"),
    log:
        "results/logs/figures/{id}.log",
    localrule: True
    params:
        command=lambda wildcards: FIGURES[JOBS.by_kind["figures"][wildcards.id].order.identity["figure"]],
    shell:
        "python -m pipelines.{params.command} {input.order:q} > {log:q} 2>&1"


rule ablations:
    input:
        order=order("ablations"),
        reads=reads("ablations"),
    output:
        seal("ablations"),
    log:
        "results/logs/ablations/{id}.log",
    localrule: True
    shell:
        "python -m pipelines.ablations {input.order:q} > {log:q} 2>&1"


rule splits:
    input:
        order=order("splits"),
        reads=reads("splits"),
    output:
        seal("splits"),
    log:
        "results/logs/splits/{id}.log",
    localrule: True
    shell:
        "python -m pipelines.splits {input.order:q} > {log:q} 2>&1"


rule timing:
    input:
        order=order("timing"),
        reads=reads("timing"),
    output:
        seal("timing"),
    log:
        "results/logs/timing/{id}.log",
    threads: all_cores  # nothing else runs meanwhile
    resources:
        gpu=GPU,
    shell:
        "python -m pipelines.timing {input.order:q} > {log:q} 2>&1"


rule metagrad:
    input:
        order=order("fidelity"),
        reads=reads("fidelity"),
    output:
        seal("fidelity"),
    log:
        "results/logs/fidelity/{id}.log",
    threads: all_cores  # it takes times, too
    shell:
        "python -m pipelines.metagrad {input.order:q} > {log:q} 2>&1"


rule claims:
    input:
        order=order("claims"),
        reads=reads("claims"),
    output:
        seal("claims"),
    log:
        "results/logs/claims/{id}.log",
    localrule: True
    shell:
        "python -m pipelines.claims {input.order:q} > {log:q} 2>&1"


rule report:
    input:
        order=order("reports"),
        reads=reads("reports"),
    output:
        seal("reports"),
    log:
        "results/logs/reports/{id}.log",
    localrule: True
    shell:
        "python -m pipelines.report {input.order:q} > {log:q} 2>&1"


for name in PROFILE.tables:
    views = table_views(JOBS.pages, name)

    rule:
        name:
            f"show_{name}"
        input:
            sorted({view.seal for view in views.values()}),
        output:
            [f"results/{file}" for file in views],
        log:
            f"results/logs/views/{name}.log",
        localrule: True
        params:
            pairs=[path for file, view in views.items() for path in (view.source, f"results/{file}")],
        shell:
            "printf '%s\\0' {params.pairs:q} | xargs -0 -n 2 cp 2> {log:q}"


rule view:
    input:
        lambda wildcards: JOBS.views[wildcards.file].seal,
    output:
        "results/{file}",
    log:
        "results/logs/views/{file}.log",
    wildcard_constraints:
        file="|".join(map(re.escape, other_views(JOBS.pages, JOBS.cells))),
    localrule: True
    params:
        source=lambda wildcards: JOBS.views[wildcards.file].source,
    shell:
        "cp {params.source:q} {output:q} 2> {log:q}"
