# Which scenes, then their pixels: two jobs per shard, so that the selection of one shard overlaps
# with the pixels of another. A shard's files are its job's outputs; the ledger is written last.

JOBS_AT_ONCE = max(1, min(workflow.cores or 1, 4))
PIXEL_SLOTS = max(1, SETTINGS.earthengine.slots // JOBS_AT_ONCE)
SELECTION_SLOTS = max(1, SETTINGS.earthengine.selection_slots // JOBS_AT_ONCE)


rule select_scenes:
    input:
        locations=locations_of,
    output:
        update(f"{FOLDER}/selection/{{shard}}.parquet"),
    params:
        settings=SETTINGS_FILE,
        defining=defining("seed", "locations", "grid", "seasons", "selection", "source"),
    message:
        "Shard {wildcards.shard}: choosing scenes"
    log:
        f"{FOLDER}/logs/selection/{{shard}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/selection/{{shard}}.tsv"
    resources:
        ee_selection_slots=SELECTION_SLOTS,
        mem_mb=500,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.selection --settings {params.settings} --locations {input.locations}"
        " --shard {wildcards.shard} --slots {resources.ee_selection_slots} --output {output} 2>&1"
        " | tee {log}"


rule fetch_pixels:
    input:
        locations=locations_of,
        layout=layout_of,
        selection=rules.select_scenes.output,
    output:
        arrays=update([file.as_posix() for file in shard_files(Path(STORE), "{shard}")]),
        # kept until replaced: a grown shard takes its earlier locations from the store
        ledger=update(f"{FOLDER}/shards/{{shard}}.parquet"),
    params:
        settings=SETTINGS_FILE,
        store=store_folder,
        defining=defining("quality"),
    message:
        "Shard {wildcards.shard}: fetching pixels"
    log:
        f"{FOLDER}/logs/shards/{{shard}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/shards/{{shard}}.tsv"
    resources:
        ee_slots=PIXEL_SLOTS,
        mem_mb=500,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.fetch --settings {params.settings} --locations {input.locations}"
        " --selection {input.selection} --shard {wildcards.shard} --slots {resources.ee_slots}"
        " --store {params.store} --ledger {output.ledger} --log {log}"
