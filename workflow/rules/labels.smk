# The stores of expert labels: Dynamic World tiles paired with imagery, and OSMLanduse on them.
# How many tiles there are is known when they are listed, hence the checkpoint; from there on a job
# is a shard, and the files of a shard are its job's outputs.


localrules:
    create_dw,


rule expert_tiles:
    output:
        f"{FOLDER}/dw/source.json",
    params:
        settings=SETTINGS_FILE,
        folder=f"{FOLDER}/expert_tiles",
        defining=SETTINGS.dw_defining(),
        sources=tile_sources(),
        files=label_files,
    message:
        "Bringing the expert tiles"
    log:
        f"{FOLDER}/logs/dw/expert_tiles.log",
    benchmark:
        f"{FOLDER}/benchmarks/dw/expert_tiles.tsv"
    resources:
        mem_mb=1000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.dynamic_world.acquire --settings {params.settings}"
        " --folder {params.folder} --record {output} 2>&1 | tee {log}"


checkpoint list_expert_tiles:
    input:
        source=rules.expert_tiles.output,
    output:
        tiles=f"{FOLDER}/dw/tiles.parquet",
        refused=f"{FOLDER}/dw/refused.txt",
    params:
        settings=SETTINGS_FILE,
        files=label_files,
        ledgers=dw_ledgers,
    message:
        "Listing the expert tiles"
    log:
        f"{FOLDER}/logs/dw/list_expert_tiles.log",
    benchmark:
        f"{FOLDER}/benchmarks/dw/list_expert_tiles.tsv"
    resources:
        mem_mb=1000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.dynamic_world.catalogue --settings {params.settings}"
        " --source {input.source} --output {output.tiles} --refused {output.refused}"
        " --ledgers {params.ledgers} 2>&1 | tee {log}"


rule create_dw:
    input:
        tiles=f"{FOLDER}/dw/tiles.parquet",
    output:
        f"{FOLDER}/dw/layout.json",
    params:
        settings=SETTINGS_FILE,
        store=dw_folder,
    message:
        "Laying out {params.store}"
    log:
        f"{FOLDER}/logs/dw/create_dw.log",
    benchmark:
        f"{FOLDER}/benchmarks/dw/create_dw.tsv"
    resources:
        mem_mb=500,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.dynamic_world.store --settings {params.settings} --tiles {input.tiles}"
        " --store {params.store} --record {output} 2>&1 | tee {log}"


rule pair_tiles:
    input:
        tiles=f"{FOLDER}/dw/tiles.parquet",
        layout=rules.create_dw.output,
    output:
        arrays=update(DW_SHARD_FILES),
        # kept until replaced: a shard that is whole is not fetched again
        ledger=update(f"{FOLDER}/dw/shards/{{split}}/{{shard}}.parquet"),
        # after a failure Snakemake puts the files back as if they were new; this one it does not
        done=touch(f"{FOLDER}/dw/shards/{{split}}/.{{shard}}.done"),
    params:
        settings=SETTINGS_FILE,
        store=dw_folder,
    wildcard_constraints:
        split="|".join(SPLITS),
    message:
        "Expert tiles, {wildcards.split} shard {wildcards.shard}: fetching imagery"
    log:
        f"{FOLDER}/logs/dw/shards/{{split}}/{{shard}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/dw/shards/{{split}}/{{shard}}.tsv"
    resources:
        ee_slots=PIXEL_SLOTS,
        ee_selection_slots=SELECTION_SLOTS,
        mem_mb=1000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.dynamic_world.fetch --settings {params.settings} --tiles {input.tiles}"
        " --split {wildcards.split} --shard {wildcards.shard} --slots {resources.ee_slots}"
        " --selection-slots {resources.ee_selection_slots} --store {params.store}"
        " --ledger {output.ledger} 2>&1 | tee {log}"


rule finish_dw:
    input:
        # not named: Snakemake hashes a named list once for each of its files
        dw_shards(rules.pair_tiles.output.ledger),
        dw_shards(rules.pair_tiles.output.done),
        *[dw_shards(pattern) for pattern in DW_SHARD_FILES],
        tiles=f"{FOLDER}/dw/tiles.parquet",
    output:
        index=f"{FOLDER}/dw.index.parquet",
        summary=f"{FOLDER}/dw.summary.txt",
    params:
        settings=SETTINGS_FILE,
        store=dw_folder,
        ledgers=dw_ledgers,
    message:
        "Indexing {params.store}"
    log:
        f"{FOLDER}/logs/dw/finish_dw.log",
    benchmark:
        f"{FOLDER}/benchmarks/dw/finish_dw.tsv"
    resources:
        mem_mb=1000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.dynamic_world.finish --settings {params.settings} --tiles {input.tiles}"
        " --store {params.store} --ledgers {params.ledgers} --index {output.index}"
        " --summary {output.summary} 2>&1 | tee {log}"


rule osm_pictures:
    input:
        index=rules.finish_dw.output.index,
    output:
        f"{FOLDER}/osm/pictures.txt",
    params:
        settings=SETTINGS_FILE,
        store=dw_folder,
        folder=picture_folder,
        defining=SETTINGS.osm_defining(),
    message:
        "Fetching the land-use pictures of the expert tiles"
    log:
        f"{FOLDER}/logs/osm/pictures.log",
    benchmark:
        f"{FOLDER}/benchmarks/osm/pictures.tsv"
    resources:
        mem_mb=1000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.osm_landuse.pictures --settings {params.settings}"
        " --dw-store {params.store} --folder {params.folder} --record {output} 2>&1 | tee {log}"


rule make_osm:
    input:
        decisions,
        index=rules.finish_dw.output.index,
        pictures=rules.osm_pictures.output,
    output:
        table=f"{FOLDER}/osm.tiles.csv",
        review=f"{FOLDER}/osm/review/index.html",
        # replaced as a whole by the job
        store=update(f"{OSM_STORE}/zarr.json"),
        summary=f"{FOLDER}/osm.summary.txt",
    params:
        settings=SETTINGS_FILE,
        dw_store=dw_folder,
        store=osm_folder,
        pictures=picture_folder,
        review=subpath(output.review, parent=True),
        defining=SETTINGS.osm_defining(),
    message:
        "Making {params.store}"
    log:
        f"{FOLDER}/logs/osm/make_osm.log",
    benchmark:
        f"{FOLDER}/benchmarks/osm/make_osm.tsv"
    threads: CORES_OF_A_JOB
    resources:
        mem_mb=4000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.osm_landuse.build --settings {params.settings}"
        " --dw-store {params.dw_store} --pictures {params.pictures} --store {params.store}"
        " --table {output.table} --review {params.review} --summary {output.summary}"
        " --threads {threads} 2>&1 | tee {log}"


rule tile_statistics:
    input:
        lambda wildcards: TILE_STORES[wildcards.labelled],
    output:
        f"{FOLDER}/{{labelled}}.statistics.json",
    params:
        store=f"{FOLDER}/{{labelled}}.zarr",
    wildcard_constraints:
        labelled="|".join(TILE_STORES),
    message:
        "Band statistics and class counts of {params.store}"
    log:
        f"{FOLDER}/logs/{{labelled}}/statistics.log",
    benchmark:
        f"{FOLDER}/benchmarks/{{labelled}}/statistics.tsv"
    threads: CORES_OF_A_JOB
    resources:
        mem_mb=2000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.tile_statistics --store {params.store} --output {output}"
        f" --threads {{threads}} {WORKERS} 2>&1 | tee {{log}}"


rule build_dw:
    """dw.zarr: expert labels of Dynamic World with Sentinel-1 and Sentinel-2"""
    input:
        *[dw_shards(pattern) for pattern in DW_SHARD_FILES],
        rules.finish_dw.output,
        f"{FOLDER}/dw.statistics.json",
        copies("dw"),
    message:
        "dw.zarr is complete"


rule build_osm:
    """osm.zarr: OSM land use on the expert tiles, filtered, padded and split"""
    input:
        rules.make_osm.output,
        f"{FOLDER}/osm.statistics.json",
        copies("osm"),
    message:
        "osm.zarr is complete"
