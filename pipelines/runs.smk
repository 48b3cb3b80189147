# Task -> run.


rule train:
    input:
        data="results/data/{dataset}.npz",
        task=task_of,
        pretrained=pretrained,
        sources=lambda wildcards: sources("pipelines.train", run_spec(SETTINGS, run_of(wildcards))["implementation"]),
    output:
        record=f"results/runs/{PROFILE}/{{dataset}}/{{noise}}-{{rate}}/{{method}}/seed{{seed}}/record.json",
        history=f"results/runs/{PROFILE}/{{dataset}}/{{noise}}-{{rate}}/{{method}}/seed{{seed}}/history.csv",
        steps=f"results/runs/{PROFILE}/{{dataset}}/{{noise}}-{{rate}}/{{method}}/seed{{seed}}/steps.csv",
    log:
        f"results/logs/runs/{PROFILE}/{{dataset}}/{{noise}}-{{rate}}/{{method}}/seed{{seed}}.log",
    threads: SETTINGS["threads"]
    resources:
        gpu=int(SETTINGS["device"] != "cpu"),
    params:
        spec=lambda wildcards: run_spec(SETTINGS, run_of(wildcards)),
        folder=subpath(output.record, parent=True),
        pretrained=lambda wildcards, input: ["--pretrained", *input.pretrained] if input.pretrained else [],
    shell:
        "python -m pipelines.train --config results/settings.json --data {input.data:q} --task {input.task:q}"
        " --method {wildcards.method:q} --dataset {wildcards.dataset:q} --noise {wildcards.noise:q}"
        " --rate {wildcards.rate:q} --seed {wildcards.seed:q} --keep-going"
        " {params.pretrained:q} --out {params.folder:q} > {log:q} 2>&1"
