# Prepared arrays -> encoders; tasks -> runs, in cells of several seeds; runs under observation -> probes.
# `exec`: a shell between Snakemake and the training would die of a scheduler's SIGTERM before the checkpoint is written.


rule pretrain:
    input:
        order=order("encoders"),
        reads=reads("encoders"),
    output:
        seal("encoders"),
    log:
        "results/logs/encoders/{id}.log",
    threads: PROFILE.threads
    resources:
        gpu=GPU,
    shell:
        "exec python -m pipelines.pretrain {input.order:q} > {log:q} 2>&1"


rule train:
    input:
        order=order("cells"),
        reads=reads("cells"),
    output:
        seal("cells"),
    log:
        "results/logs/cells/{id}.log",
    priority: slow_first
    threads: lambda wildcards: PROFILE.threads * processes(wildcards)
    resources:
        gpu=lambda wildcards: GPU * processes(wildcards),
    params:
        launcher=launcher,
    shell:
        "exec {params.launcher} -m pipelines.train {input.order:q} > {log:q} 2>&1"


rule probe:
    input:
        order=order("probes"),
        reads=reads("probes"),
    output:
        seal("probes"),
    log:
        "results/logs/probes/{id}.log",
    threads: PROFILE.threads
    resources:
        gpu=GPU,
    shell:
        "exec python -m pipelines.probe {input.order:q} > {log:q} 2>&1"
