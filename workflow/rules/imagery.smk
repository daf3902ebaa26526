# Which scenes, then their pixels: two jobs per shard, so that the selection of one shard overlaps
# with the pixels of another. A shard's files are its job's outputs; the ledger is written last.
#
# What was selected or fetched before is kept while a job adds to it, hence `update`. When such a job
# fails, Snakemake puts the earlier files back as if they were new, so they do not tell whether the
# job is done: an empty file beside them does.

# The share of a job that is submitted must not depend on the machine that works it out; Snakemake
# starts as many such jobs as there are shares.
JOBS_AT_ONCE = 8 if SUBMITTED else max(1, min(workflow.cores or 1, 4))
PIXEL_SLOTS = max(1, SETTINGS.earthengine.slots // JOBS_AT_ONCE)
SELECTION_SLOTS = max(1, SETTINGS.earthengine.selection_slots // JOBS_AT_ONCE)

# Selection goes before pixels, so that there is always a shard to fetch, and counts double, so that
# about half of the jobs select and the others fetch. It is faster and soon far ahead.
SELECTION_COUNTS = min(2 * SELECTION_SLOTS, SETTINGS.earthengine.selection_slots)

# A job may take more than its share while others start or end, as far as its memory goes: the jobs
# of one machine draw from the same slots, so together they never have more than there are. Locks
# that hold between machines are not to be relied on, so there a share is a share.
MOST_SLOTS_OF_A_JOB = 1 if SUBMITTED else 40
MOST_PIXEL_SLOTS = max(PIXEL_SLOTS, min(SETTINGS.earthengine.slots, MOST_SLOTS_OF_A_JOB))
MOST_SELECTION_SLOTS = max(
    SELECTION_COUNTS, min(SETTINGS.earthengine.selection_slots, MOST_SLOTS_OF_A_JOB)
)

# What a job holds of answers and of its shard goes with the area of a patch: 0.15 GB and, with 40
# slots, 0.14 GB for each 264 x 264 pixels were measured. Twice that much is asked for.
PIXEL_JOB_MB = round(750 + 250 * (SETTINGS.grid.pixels / 264) ** 2)


rule select_scenes:
    input:
        locations=locations_of,
    output:
        ledger=update(f"{FOLDER}/selection/{{shard}}.parquet"),
        done=touch(f"{FOLDER}/selection/.{{shard}}.done"),
    params:
        settings=SETTINGS_FILE,
        defining=defining("seed", "locations", "grid", "seasons", "selection", "source"),
    message:
        "Shard {wildcards.shard}: choosing scenes"
    log:
        f"{FOLDER}/logs/selection/{{shard}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/selection/{{shard}}.tsv"
    priority: 1
    resources:
        ee_selection_slots=SELECTION_COUNTS,
        most_slots=MOST_SELECTION_SLOTS,
        mem_mb=1000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.selection --settings {params.settings} --locations {input.locations}"
        " --shard {wildcards.shard} --slots {resources.most_slots} --output {output.ledger} 2>&1"
        " | tee {log}"


rule fetch_pixels:
    input:
        locations=locations_of,
        layout=layout_of,
        selection=rules.select_scenes.output.ledger,
        selected=rules.select_scenes.output.done,
    output:
        arrays=update([file.as_posix() for file in shard_files(Path(STORE), "{shard}")]),
        # kept until replaced: a grown shard takes its earlier locations from the store
        ledger=update(f"{FOLDER}/shards/{{shard}}.parquet"),
        done=touch(f"{FOLDER}/shards/.{{shard}}.done"),
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
        most_slots=MOST_PIXEL_SLOTS,
        mem_mb=PIXEL_JOB_MB,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.fetch --settings {params.settings} --locations {input.locations}"
        " --selection {input.selection} --shard {wildcards.shard} --slots {resources.most_slots}"
        " --store {params.store} --ledger {output.ledger} --log {log}"
