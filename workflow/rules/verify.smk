# What is wrong with the stores: checksums where the builds record none, then every check again.
# Findings do not fail a build; `python -m pipeline.verify <store>` leaves with exit code 1.

VERIFIED = {
    # what must be there before a store is complete
    "nol": [f"{FOLDER}/nol.index.parquet", f"{FOLDER}/nol.statistics.json"],
    "dw": [f"{FOLDER}/dw.index.parquet", f"{FOLDER}/dw.statistics.json"],
    "osm": [f"{FOLDER}/osm.index.parquet", f"{FOLDER}/osm.statistics.json"],
}


rule store_checksums:
    input:
        lambda wildcards: VERIFIED[wildcards.verified],
    output:
        f"{FOLDER}/{{verified}}.checksums.json",
    params:
        store=f"{FOLDER}/{{verified}}.zarr",
    wildcard_constraints:
        verified="|".join(VERIFIED),
    message:
        "Recording the checksums of {params.store}"
    log:
        f"{FOLDER}/logs/verify/{{verified}}.checksums.log",
    benchmark:
        f"{FOLDER}/benchmarks/verify/{{verified}}.checksums.tsv"
    resources:
        mem_mb=1000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.verify.checksums {params.store} 2>&1 | tee {log}"


rule verify_store:
    input:
        lambda wildcards: VERIFIED[wildcards.verified],
        checksums=rules.store_checksums.output,
    output:
        f"{FOLDER}/verify/{{verified}}.json",
    params:
        store=f"{FOLDER}/{{verified}}.zarr",
    wildcard_constraints:
        verified="|".join(VERIFIED),
    message:
        "Verifying {params.store}"
    log:
        f"{FOLDER}/logs/verify/{{verified}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/verify/{{verified}}.tsv"
    threads: CORES_OF_A_JOB
    resources:
        mem_mb=4000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.verify {params.store} --output {output} --report-only"
        f" --threads {{threads}} {WORKERS} 2>&1 | tee {{log}}"


rule verify:
    """the stores checked again: checksums, values, classes, alignment, bands, statistics"""
    input:
        expand(rules.verify_store.output, verified=VERIFIED),
    message:
        "All stores are verified; findings are listed in verify/<store>.json"
