# Prepared arrays -> encoders; tasks -> runs, in cells of several seeds; runs under observation -> probes.


rule pretrain:
    input:
        wanted("encoders"),
    output:
        seal("encoders"),
    log:
        "results/logs/encoders/{id}.log",
    threads: PROFILE.threads
    resources:
        gpu=GPU,
    shell:
        "python -m pipelines.pretrain {input[0]:q} > {log:q} 2>&1"


rule train:
    input:
        wanted("cells"),
    output:
        seal("cells"),
    log:
        "results/logs/cells/{id}.log",
    threads: PROFILE.threads
    resources:
        gpu=GPU,
    shell:
        "python -m pipelines.train {input[0]:q} > {log:q} 2>&1"


rule probe:
    input:
        wanted("probes"),
    output:
        seal("probes"),
    log:
        "results/logs/probes/{id}.log",
    threads: PROFILE.threads
    resources:
        gpu=GPU,
    shell:
        "python -m pipelines.probe {input[0]:q} > {log:q} 2>&1"
