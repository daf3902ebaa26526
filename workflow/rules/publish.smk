# Copies in object storage, where the settings name a place: each shard as it is finished, then the
# store around them. The record of a copy stays on disk; it is what Snakemake goes by.


rule publish_shard:
    input:
        rules.fetch_pixels.output.arrays,
        done=rules.fetch_pixels.output.done,
        ledger=rules.fetch_pixels.output.ledger,
        layout=layout_of,
    output:
        f"{FOLDER}/published/nol/{{shard}}.json",
    params:
        settings=SETTINGS_FILE,
        store=store_folder,
        url=published_nol,
    message:
        "Shard {wildcards.shard}: copying to {params.url}"
    log:
        f"{FOLDER}/logs/published/nol/{{shard}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/published/nol/{{shard}}.tsv"
    resources:
        mem_mb=1000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.publish --settings {params.settings} --store {params.store}"
        " --ledger {input.ledger} --url {params.url} --record {output} 2>&1 | tee {log}"


rule publish_nol:
    """a copy of nol.zarr and its index in object storage, where `publish` says"""
    input:
        expand(rules.publish_shard.output, shard=SHARDS),
        beside=[*rules.finish_nol.output, *rules.nol_statistics.output],
    output:
        f"{FOLDER}/nol.published.json",
    params:
        store=store_folder,
        url=published_nol,
    message:
        "Copying {params.store} to {params.url}"
    log:
        f"{FOLDER}/logs/published/nol.log",
    benchmark:
        f"{FOLDER}/benchmarks/published/nol.tsv"
    resources:
        mem_mb=1000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.publish --store {params.store} --url {params.url}"
        " --beside {input.beside} --record {output} 2>&1 | tee {log}"


BESIDE = {
    "dw": [*rules.finish_dw.output, f"{FOLDER}/dw.statistics.json"],
    "osm": [
        rules.make_osm.output.table,
        rules.make_osm.output.summary,
        f"{FOLDER}/osm.statistics.json",
    ],
}


for COPIED, FILES in BESIDE.items():

    rule:
        """a copy of a store of expert labels in object storage, where `publish` says"""
        name:
            f"publish_{COPIED}"
        input:
            beside=FILES,
        output:
            f"{FOLDER}/{COPIED}.published.json",
        params:
            store=f"{FOLDER}/{COPIED}.zarr",
            url=lambda wildcards, output: published(Path(output[0]).name.split(".")[0]),
        message:
            "Copying {params.store} to {params.url}"
        log:
            f"{FOLDER}/logs/published/{COPIED}.log",
        benchmark:
            f"{FOLDER}/benchmarks/published/{COPIED}.tsv"
        resources:
            mem_mb=1000,
        conda:
            "../../envs/build.yaml"
        shell:
            "python -m pipeline.publish --store {params.store} --url {params.url}"
            " --beside {input.beside} --record {output} 2>&1 | tee {log}"
