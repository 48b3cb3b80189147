# Tasks -> runs. One rule for each chunk of seeds, so that a seed more in the profile leaves the others' rules as they are.
RUN = "{dataset}/{noise}-{rate}/{method}"


for chunk in seed_chunks(SETTINGS):
    seeds = [f"seed{seed}" for seed in chunk]

    rule:
        name:
            f"train_seeds_{'_'.join(map(str, chunk))}"
        input:
            data="results/data/{dataset}.npz",
            tasks=tasks_of(chunk),
            pretrained=pretrained,
            sources=run_sources,
        output:
            [f"results/runs/{PROFILE}/{RUN}/{seed}/{file}" for seed in seeds for file in RUN_FILES],
        log:
            f"results/logs/runs/{PROFILE}/{RUN}/seeds_{'_'.join(map(str, chunk))}.log",
        threads: SETTINGS["threads"]
        resources:
            gpu=int(SETTINGS["device"] != "cpu"),
        params:
            checkpoints=f"results/checkpoints/{PROFILE}",
            spec=lambda wildcards: run_spec(SETTINGS, run_of(wildcards)),
            seeds=chunk,
            folders=[f"results/runs/{PROFILE}/{RUN}/{seed}" for seed in seeds],
            pretrained=lambda wildcards, input: ["--pretrained", *input.pretrained] if input.pretrained else [],
        shell:
            "python -m pipelines.train --config results/settings.json --data {input.data:q} --task {input.tasks:q}"
            " --method {wildcards.method:q} --dataset {wildcards.dataset:q} --noise {wildcards.noise:q}"
            " --rate {wildcards.rate:q} --seed {params.seeds:q} --checkpoints {params.checkpoints:q} --keep-going"
            " {params.pretrained:q} --out {params.folders:q} > {log:q} 2>&1"
