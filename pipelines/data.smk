# Pinned bytes -> prepared arrays -> tasks.


for file, pointer in POINTERS.items():

    rule:
        name:
            f"fetch_{Path(pointer).stem.replace('-', '_')}"
        input:
            pointer=pointer,
        output:
            file,
        log:
            f"results/logs/fetch/{Path(file).name}.log",
        params:
            mirror=["--mirror", SETTINGS["mirror"]] if SETTINGS.get("mirror") else [],
        shell:
            "python -m pipelines.fetch {input.pointer:q} {params.mirror:q} > {log:q} 2>&1"


rule prepare:
    input:
        files=dataset_files,
        sources=sources("pipelines.prepare"),
    output:
        "results/data/{dataset}.npz",
    log:
        "results/logs/prepare/{dataset}.log",
    params:
        options=lambda wildcards: dataset_options(SETTINGS, wildcards.dataset),
        listings=listings,
    shell:
        "python -m pipelines.prepare --config results/settings.json --dataset {wildcards.dataset:q}"
        " --out {output:q} > {log:q} 2>&1"


rule human:
    input:
        files=dataset_files,
        labels=lambda wildcards: pinned_file(human_labels(SETTINGS, wildcards.dataset)),
        sources=sources("pipelines.human"),
    output:
        "results/human/{dataset}.npz",
    log:
        "results/logs/human/{dataset}.log",
    params:
        options=lambda wildcards: dataset_options(SETTINGS, wildcards.dataset),
        listings=listings,
    shell:
        "python -m pipelines.human --config results/settings.json --dataset {wildcards.dataset:q}"
        " --out {output:q} > {log:q} 2>&1"


rule inject:
    input:
        data="results/data/{dataset}.npz",
        human=human_file,
        sources=sources("pipelines.inject"),
    output:
        f"results/tasks/{PROFILE}/{{dataset}}/{{noise}}-{{rate}}{{split}}/seed{{seed}}.npz",
    log:
        f"results/logs/tasks/{PROFILE}/{{dataset}}/{{noise}}-{{rate}}{{split}}/seed{{seed}}.log",
    params:
        split=lambda wildcards: ["--split", wildcards.split.strip("/")] if wildcards.split else [],
        spec=lambda wildcards: task_spec(SETTINGS, wildcards.dataset, wildcards.noise, float(wildcards.rate)),
        human=lambda wildcards, input: ["--human", *input.human] if input.human else [],
    shell:
        "python -m pipelines.inject --config results/settings.json --data {input.data:q} --dataset {wildcards.dataset:q}"
        " --noise {wildcards.noise:q} --rate {wildcards.rate:q} --seed {wildcards.seed:q}"
        " {params.split:q} {params.human:q} --out {output:q} > {log:q} 2>&1"
