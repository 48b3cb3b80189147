# Runs, and runs trained once more under observation -> figures, ablations; networks -> timing, meta-gradient fidelity.


rule probe:
    input:
        data="results/data/{dataset}.npz",
        task=lambda wildcards: task_of(wildcards, wildcards.seed),
        pretrained=pretrained,
        sources=lambda wildcards: sources("pipelines.probe", run_spec(SETTINGS, run_of(wildcards))["implementation"]),
    output:
        f"results/probes/{PROFILE}/{{dataset}}/{{noise}}-{{rate}}/{{method}}/seed{{seed}}/probe.npz",
    log:
        f"results/logs/probes/{PROFILE}/{{dataset}}/{{noise}}-{{rate}}/{{method}}/seed{{seed}}.log",
    threads: SETTINGS["threads"]
    resources:
        gpu=int(SETTINGS["device"] != "cpu"),
    params:
        spec=lambda wildcards: run_spec(SETTINGS, run_of(wildcards)),
        pretrained=lambda wildcards, input: ["--pretrained", *input.pretrained] if input.pretrained else [],
    shell:
        "python -m pipelines.probe --config results/settings.json --data {input.data:q} --task {input.task:q}"
        " --method {wildcards.method:q} --dataset {wildcards.dataset:q} --noise {wildcards.noise:q}"
        " --rate {wildcards.rate:q} --seed {wildcards.seed:q} {params.pretrained:q} --out {output:q} > {log:q} 2>&1"


rule fig1:
    input:
        probes=lambda wildcards: probes_of(figure_runs(SETTINGS, "fig1")),
        sources=sources("pipelines.recovery"),
    output:
        png=report("results/figures/fig1.png", caption="captions/fig1.rst", category="Figures"),
        rest=multiext("results/figures/fig1", ".svg", ".csv", ".txt"),
    log:
        "results/logs/fig1.log",
    params:
        probes=f"results/probes/{PROFILE}",
        shown=SETTINGS.get("figures", {}).get("fig1"),
        labels=labels_of(figure_runs(SETTINGS, "fig1")),
        folder=subpath(output.png, parent=True),
    shell:
        "python -m pipelines.recovery --config results/settings.json --probes {params.probes:q}"
        " --out {params.folder:q} > {log:q} 2>&1"


rule fig3:
    input:
        probes=lambda wildcards: probes_of(figure_runs(SETTINGS, "fig3")),
        sources=sources("pipelines.corrections"),
    output:
        png=report("results/figures/fig3.png", caption="captions/fig3.rst", category="Figures"),
        rest=multiext("results/figures/fig3", ".svg", ".csv", ".txt"),
    log:
        "results/logs/fig3.log",
    params:
        probes=f"results/probes/{PROFILE}",
        shown=SETTINGS.get("figures", {}).get("fig3"),
        labels=labels_of(figure_runs(SETTINGS, "fig3")),
        folder=subpath(output.png, parent=True),
    shell:
        "python -m pipelines.corrections --config results/settings.json --probes {params.probes:q}"
        " --out {params.folder:q} > {log:q} 2>&1"


rule fig4:
    input:
        probes=lambda wildcards: probes_of(figure_runs(SETTINGS, "fig4")),
        sources=sources("pipelines.embeddings"),
    output:
        png=report("results/figures/fig4.png", caption="captions/fig4.rst", category="Figures"),
        rest=multiext("results/figures/fig4", ".svg", ".csv", ".txt"),
    log:
        "results/logs/fig4.log",
    params:
        probes=f"results/probes/{PROFILE}",
        shown=SETTINGS.get("figures", {}).get("fig4"),
        labels=labels_of(figure_runs(SETTINGS, "fig4")),
        folder=subpath(output.png, parent=True),
    shell:
        "python -m pipelines.embeddings --config results/settings.json --probes {params.probes:q}"
        " --out {params.folder:q} > {log:q} 2>&1"


rule fig5:
    input:
        records=lambda wildcards: files_of(figure_runs(SETTINGS, "fig5"), "record.json"),
        steps=lambda wildcards: files_of(figure_runs(SETTINGS, "fig5"), "steps.csv"),
        sources=sources("pipelines.objective"),
    output:
        png=report("results/figures/fig5.png", caption="captions/fig5.rst", category="Figures"),
        rest=multiext("results/figures/fig5", ".svg", ".csv", ".txt"),
    log:
        "results/logs/fig5.log",
    params:
        runs=f"results/runs/{PROFILE}",
        shown=SETTINGS.get("figures", {}).get("fig5"),
        labels=labels_of(figure_runs(SETTINGS, "fig5")),
        folder=subpath(output.png, parent=True),
    shell:
        "python -m pipelines.objective --config results/settings.json --runs {params.runs:q} --out {params.folder:q}"
        " > {log:q} 2>&1"


rule ablations:
    input:
        records=lambda wildcards: files_of(ablation_runs(SETTINGS), "record.json"),
        probes=lambda wildcards: probes_of(gradient_runs(SETTINGS)),
        sources=sources("pipelines.ablations"),
    output:
        csv="results/ablations.csv",
        gradients="results/gradients.csv",
        md=report("results/ablations.md", caption="captions/ablations.rst", category="Ablations"),
    log:
        "results/logs/ablations.log",
    params:
        runs=f"results/runs/{PROFILE}",
        probes=f"results/probes/{PROFILE}",
        shown=[SETTINGS["selection"], SETTINGS.get("ablations")],
        labels=labels_of([*ablation_runs(SETTINGS), *gradient_runs(SETTINGS)]),
        folder=subpath(output.csv, parent=True),
    shell:
        "python -m pipelines.ablations --config results/settings.json --runs {params.runs:q} --probes {params.probes:q}"
        " --out {params.folder:q} > {log:q} 2>&1"


if "timing" in SETTINGS:

    TIMED = {name: method_spec(SETTINGS, name) for name in SETTINGS["timing"]["methods"]}

    rule timing:
        input:
            published="published/timing.csv",
            sources=sources("pipelines.timing", *(method["implementation"] for method in TIMED.values())),
        output:
            csv="results/timing.csv",
            md=report("results/timing.md", caption="captions/timing.rst", category="Time and memory"),
        log:
            "results/logs/timing.log",
        threads: workflow.cores  # nothing else runs meanwhile
        resources:
            gpu=int(SETTINGS["device"] != "cpu"),
        params:
            methods=TIMED,
            labels=[method_settings(SETTINGS, name)["label"] for name in TIMED],
            splits=[split_of(SETTINGS, name) for name in TIMED],
            names=list(TIMED),
            device=SETTINGS["device"],
            folder=subpath(output.csv, parent=True),
        shell:
            "python -m pipelines.timing --config results/settings.json --methods {params.names:q}"
            " --device {params.device:q} --out {params.folder:q} > {log:q} 2>&1"


if "fidelity" in SETTINGS:

    PANEL = SETTINGS["fidelity"]
    PANEL_RUN = Run(PANEL["method"], *(PANEL["column"][key] for key in ("dataset", "noise", "rate")), PANEL["seed"])

    rule metagrad:
        input:
            data=f"results/data/{PANEL_RUN.dataset}.npz",
            task=task_of(PANEL_RUN, PANEL_RUN.seed),
            pretrained=pretrained(PANEL_RUN),
            sources=sources("pipelines.metagrad", run_spec(SETTINGS, PANEL_RUN)["implementation"]),
        output:
            csv="results/metagrad.csv",
            md=report("results/metagrad.md", caption="captions/metagrad.rst", category="Meta-gradients"),
        log:
            "results/logs/metagrad.log",
        threads: workflow.cores  # it takes times, too
        params:
            spec=run_spec(SETTINGS, PANEL_RUN),
            method=PANEL_RUN.method,
            pretrained=lambda wildcards, input: ["--pretrained", *input.pretrained] if input.pretrained else [],
            folder=subpath(output.csv, parent=True),
        shell:
            "python -m pipelines.metagrad --config results/settings.json --data {input.data:q} --task {input.task:q}"
            " --method {params.method:q} {params.pretrained:q} --out {params.folder:q} > {log:q} 2>&1"
