# The store around the shards: metadata before them, index and statistics after them.


rule create_store:
    input:
        locations=ancient(rules.locations.output),
    output:
        metadata=update(f"{STORE}/zarr.json"),
    params:
        settings=SETTINGS_FILE,
        store=lambda wildcards, output: Path(output.metadata).parent,
        locations=COUNT,
    message:
        "Laying out {params.store} for {params.locations} locations"
    log:
        f"{FOLDER}/logs/create_store.log",
    benchmark:
        f"{FOLDER}/benchmarks/create_store.tsv"
    resources:
        mem_mb=500,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.store.create --settings {params.settings} --count {params.locations}"
        " --store {params.store} 2>&1 | tee {log}"


rule finish_nol:
    input:
        # not named: Snakemake hashes a named list once for each of its files
        expand(rules.fetch_pixels.output.ledger, shard=SHARDS),
        expand(rules.fetch_pixels.output.arrays, shard=SHARDS),
        locations=rules.locations.output,
        metadata=ancient(rules.create_store.output.metadata),
    output:
        index=f"{FOLDER}/nol.index.parquet",
        summary=f"{FOLDER}/nol.summary.txt",
    params:
        settings=SETTINGS_FILE,
        store=lambda wildcards, input: Path(input.metadata).parent,
        ledgers=lambda wildcards, input: Path(input[0]).parent,
    message:
        "Indexing {params.store}"
    log:
        f"{FOLDER}/logs/finish_nol.log",
    benchmark:
        f"{FOLDER}/benchmarks/finish_nol.tsv"
    resources:
        mem_mb=2000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.finish --settings {params.settings} --store {params.store}"
        " --ledgers {params.ledgers} --locations {input.locations} --index {output.index}"
        " --summary {output.summary} 2>&1 | tee {log}"


rule nol_statistics:
    input:
        index=rules.finish_nol.output.index,
        metadata=ancient(rules.create_store.output.metadata),
    output:
        f"{FOLDER}/nol.statistics.json",
    params:
        store=lambda wildcards, input: Path(input.metadata).parent,
    message:
        "Band statistics and class counts of {params.store}"
    log:
        f"{FOLDER}/logs/nol_statistics.log",
    benchmark:
        f"{FOLDER}/benchmarks/nol_statistics.tsv"
    threads: workflow.cores
    resources:
        mem_mb=4000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.statistics --store {params.store} --output {output}"
        " --threads {threads} 2>&1 | tee {log}"


rule build_nol:
    """nol.zarr: Sentinel-1, Sentinel-2 and noisy labels of four seasons"""
    input:
        *rules.finish_nol.input,
        rules.finish_nol.output,
        rules.nol_statistics.output,
    message:
        "nol.zarr is complete"


rule plan:
    """what a build will cost: requests, GB, EECU-hours, hours; fetches nothing"""
    params:
        settings=SETTINGS_FILE,
    message:
        "Counting what this build will cost"
    log:
        f"{FOLDER}/logs/plan.log",
    resources:
        mem_mb=500,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.plan --settings {params.settings} 2>&1 | tee {log}"
