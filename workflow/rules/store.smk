# The store around the shards: metadata before them, index and statistics after them.


rule create_store:
    input:
        locations=ancient(rules.locations.output),
    output:
        update(f"{STORE}/zarr.json"),
    params:
        settings=SETTINGS_FILE,
        store=STORE,
        count=COUNT,
    message:
        "Laying out {params.store} for {params.count} locations"
    log:
        f"{FOLDER}/logs/create_store.log",
    benchmark:
        f"{FOLDER}/benchmarks/create_store.tsv"
    resources:
        mem_mb=500,
    shell:
        "python -m pipeline.store.create --settings {params.settings} --count {params.count}"
        " --store {params.store} 2>&1 | tee {log}"


rule finish_nol:
    input:
        locations=rules.locations.output,
        ledgers=expand(rules.fetch_pixels.output.ledger, shard=SHARDS),
        arrays=expand(rules.fetch_pixels.output.arrays, shard=SHARDS),
    output:
        index=f"{FOLDER}/nol.index.parquet",
        summary=f"{FOLDER}/nol.summary.txt",
    params:
        settings=SETTINGS_FILE,
        store=STORE,
        ledgers=f"{FOLDER}/shards",
    message:
        "Indexing {params.store}"
    log:
        f"{FOLDER}/logs/finish_nol.log",
    benchmark:
        f"{FOLDER}/benchmarks/finish_nol.tsv"
    resources:
        mem_mb=2000,
    shell:
        "python -m pipeline.finish --settings {params.settings} --store {params.store}"
        " --ledgers {params.ledgers} --locations {input.locations} --index {output.index}"
        " --summary {output.summary} 2>&1 | tee {log}"


rule nol_statistics:
    input:
        index=rules.finish_nol.output.index,
    output:
        f"{FOLDER}/nol.statistics.json",
    params:
        store=STORE,
    message:
        "Band statistics and class counts of {params.store}"
    log:
        f"{FOLDER}/logs/nol_statistics.log",
    benchmark:
        f"{FOLDER}/benchmarks/nol_statistics.tsv"
    threads: workflow.cores
    resources:
        mem_mb=4000,
    shell:
        "python -m pipeline.statistics --store {params.store} --output {output}"
        " --threads {threads} 2>&1 | tee {log}"


rule build_nol: # target: nol.zarr, Sentinel-1/2 and noisy labels for pretraining
    input:
        rules.finish_nol.input,
        rules.finish_nol.output,
        rules.nol_statistics.output,
    message:
        "nol.zarr is complete"


rule plan: # target: what a build will cost in requests, GB, EECU-hours and hours; fetches nothing
    params:
        settings=SETTINGS_FILE,
    message:
        "Counting what this build will cost"
    log:
        f"{FOLDER}/logs/plan.log",
    benchmark:
        f"{FOLDER}/benchmarks/plan.tsv"
    resources:
        mem_mb=500,
    shell:
        "python -m pipeline.plan --settings {params.settings} 2>&1 | tee {log}"
