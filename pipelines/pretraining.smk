# Prepared arrays -> SimCLR encoder, for the datasets whose runs start from one.


rule pretrain:
    input:
        data="results/data/{dataset}.npz",
        sources=sources("pipelines.pretrain"),
    output:
        checkpoint=f"results/pretrained/{PROFILE}/{{dataset}}.pt",
        record=f"results/pretrained/{PROFILE}/{{dataset}}.json",
    log:
        f"results/logs/pretrained/{PROFILE}/{{dataset}}.log",
    threads: SETTINGS["threads"]
    resources:
        gpu=int(SETTINGS["device"] != "cpu"),
    params:
        checkpoints=f"results/checkpoints/{PROFILE}",
        spec=lambda wildcards: pretraining_spec(SETTINGS, wildcards.dataset),
    shell:
        "python -m pipelines.pretrain --config results/settings.json --dataset {wildcards.dataset:q}"
        " --data {input.data:q} --checkpoints {params.checkpoints:q} --out {output.checkpoint:q}"
        " --record {output.record:q} > {log:q} 2>&1"
