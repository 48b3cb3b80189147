# Pinned bytes -> prepared arrays -> tasks.


for file, pointer in fetched(PROFILE, JOBS).items():

    rule:
        name:
            f"fetch_{Path(pointer).stem.replace('-', '_')}"
        input:
            pointer=pointer,
        output:
            file,
        log:
            f"results/logs/fetch/{Path(file).name}.log",
        localrule: True  # compute nodes have no internet
        params:
            mirror=["--mirror", PROFILE.mirror] if PROFILE.mirror else [],
        shell:
            "python -m pipelines.fetch {input.pointer:q} {params.mirror:q} > {log:q} 2>&1"


rule prepare:
    input:
        order=order("data"),
        reads=reads("data"),
    output:
        seal("data"),
    log:
        "results/logs/data/{id}.log",
    localrule: QUICK_TO_PREPARE
    shell:
        "python -m pipelines.prepare {input.order:q} > {log:q} 2>&1"


rule human:
    input:
        order=order("labels"),
        reads=reads("labels"),
    output:
        seal("labels"),
    log:
        "results/logs/labels/{id}.log",
    localrule: True
    shell:
        "python -m pipelines.human {input.order:q} > {log:q} 2>&1"


rule inject:
    input:
        order=order("tasks"),
        reads=reads("tasks"),
    output:
        seal("tasks"),
    log:
        "results/logs/tasks/{id}.log",
    localrule: True
    shell:
        "python -m pipelines.inject {input.order:q} > {log:q} 2>&1"
