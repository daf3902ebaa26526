# The store around the shards: metadata before them, index and statistics after them.

# What passes over whole stores run on. No byte depends on it, so it is no parameter of their rules,
# whose change would run them again.
SCHEDULER = f"--scheduler {SETTINGS.dask.scheduler}" if SETTINGS.dask.scheduler else ""
WORKERS = f"--workers {SETTINGS.dask.workers} {SCHEDULER}"


localrules:
    create_store,


rule create_store:
    input:
        locations=rules.locations.output,
    output:
        f"{FOLDER}/layout/{{places}}.json",
    params:
        settings=SETTINGS_FILE,
        store=store_folder,
    message:
        "Laying out {params.store} for {wildcards.places} locations"
    log:
        f"{FOLDER}/logs/layout/{{places}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/layout/{{places}}.tsv"
    resources:
        mem_mb=1000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.store.create --settings {params.settings} --count {wildcards.places}"
        " --store {params.store} --record {output} 2>&1 | tee {log}"


rule finish_nol:
    input:
        # not named: Snakemake hashes a named list once for each of its files
        expand(rules.fetch_pixels.output.ledger, shard=SHARDS),
        expand(rules.fetch_pixels.output.done, shard=SHARDS),
        locations=f"{FOLDER}/locations/{COUNT}.parquet",
        layout=f"{FOLDER}/layout/{COUNT}.json",
    output:
        index=f"{FOLDER}/nol.index.parquet",
        summary=f"{FOLDER}/nol.summary.txt",
    params:
        settings=SETTINGS_FILE,
        store=store_folder,
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
    output:
        f"{FOLDER}/nol.statistics.json",
    params:
        store=store_folder,
    message:
        "Band statistics and class counts of {params.store}"
    log:
        f"{FOLDER}/logs/nol_statistics.log",
    benchmark:
        f"{FOLDER}/benchmarks/nol_statistics.tsv"
    threads: CORES_OF_A_JOB
    resources:
        mem_mb=4000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.statistics --store {params.store} --output {output}"
        f" --threads {{threads}} {WORKERS} 2>&1 | tee {{log}}"


rule build_nol:
    """nol.zarr: Sentinel-1, Sentinel-2 and noisy labels of four seasons"""
    input:
        # a file that is lost is missed here; at a large dataset to list it once more takes seconds
        expand(rules.fetch_pixels.output, shard=SHARDS),
        rules.finish_nol.output,
        rules.nol_statistics.output,
        copies("nol"),
    message:
        "nol.zarr is complete"


rule truth:
    """truth.zarr: the true labels behind a nol.zarr of the simulated Earth"""
    input:
        rules.finish_nol.output.index,
    output:
        f"{FOLDER}/truth.zarr/zarr.json",
    params:
        store=store_folder,
        truth=lambda wildcards, output: Path(output[0]).parent,
    message:
        "Writing down the truth behind the noisy labels"
    log:
        f"{FOLDER}/logs/truth.log",
    benchmark:
        f"{FOLDER}/benchmarks/truth.tsv"
    resources:
        mem_mb=1000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.simulator.truth_store --store {params.store}"
        " --output {params.truth} 2>&1 | tee {log}"


rule plan:
    """what a build will cost: requests, GB, EECU-hours, hours; fetches nothing"""
    params:
        settings=SETTINGS_FILE,
    message:
        "Counting what this build will cost"
    log:
        f"{FOLDER}/logs/plan.log",
    resources:
        mem_mb=1000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.plan --settings {params.settings} 2>&1 | tee {log}"
