# What finished stores tell other tools: an index of the same columns for each, Croissant, STAC, and
# the dataset card beside them.

BUILT_STORES = ["nol", "dw", "osm"]
IMPORT_RECORDS = {
    "ssl4eo": [f"{FOLDER}/ssl4eo.images.txt", *SSL4EO_LABELS[IMPORTS.ssl4eo_labels]],
    "noldo_dw": [f"{FOLDER}/noldo_dw.txt"],
    "noldo_osm": [f"{FOLDER}/noldo_osm.txt"],
    "dfc2020": [f"{FOLDER}/dfc2020.txt"],
    "eurosat": [f"{FOLDER}/eurosat.txt"],
}
CONFIGURED_IMPORTS = [name for name in IMPORT_RECORDS if getattr(IMPORTS, name)]
# after these nothing of a store changes any more
DESCRIBED_RECORDS = {
    "nol": rules.nol_statistics.output,
    "dw": f"{FOLDER}/dw.statistics.json",
    "osm": f"{FOLDER}/osm.statistics.json",
} | IMPORT_RECORDS


wildcard_constraints:
    described="|".join(DESCRIBED_RECORDS),
    indexed="|".join(name for name in DESCRIBED_RECORDS if name not in ("nol", "dw")),


rule sample_index:
    input:
        lambda wildcards: DESCRIBED_RECORDS[wildcards.indexed],
    output:
        f"{FOLDER}/{{indexed}}.index.parquet",
    params:
        store=f"{FOLDER}/{{indexed}}.zarr",
    message:
        "Indexing {params.store}"
    log:
        f"{FOLDER}/logs/metadata/{{indexed}}.index.log",
    benchmark:
        f"{FOLDER}/benchmarks/metadata/{{indexed}}.index.tsv"
    resources:
        mem_mb=1000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.store.sample_index --store {params.store} --index {output} 2>&1"
        " | tee {log}"


rule store_metadata:
    input:
        record=lambda wildcards: DESCRIBED_RECORDS[wildcards.described],
        index=f"{FOLDER}/{{described}}.index.parquet",
    output:
        croissant=f"{FOLDER}/metadata/{{described}}/croissant.json",
        collection=f"{FOLDER}/metadata/{{described}}/collection.json",
        samples=f"{FOLDER}/metadata/{{described}}/items.parquet",
    params:
        settings=SETTINGS_FILE,
        store=f"{FOLDER}/{{described}}.zarr",
        folder=subpath(output.croissant, parent=True),
    message:
        "Describing {params.store} in Croissant and STAC"
    log:
        f"{FOLDER}/logs/metadata/{{described}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/metadata/{{described}}.tsv"
    resources:
        mem_mb=1000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.metadata --settings {params.settings} --store {params.store}"
        " --index {input.index} --output {params.folder} 2>&1 | tee {log}"


rule dataset_card:
    input:
        expand(rules.store_metadata.output.croissant, described=BUILT_STORES),
        indices=expand(f"{FOLDER}/{{built}}.index.parquet", built=BUILT_STORES),
        records=[DESCRIBED_RECORDS[name] for name in BUILT_STORES],
        sources=f"{workflow.basedir}/workflow/config/sources.csv",
    output:
        f"{FOLDER}/README.md",
    params:
        settings=SETTINGS_FILE,
        stores=[f"{FOLDER}/{name}.zarr" for name in BUILT_STORES],
    message:
        "Writing the dataset card"
    log:
        f"{FOLDER}/logs/metadata/card.log",
    benchmark:
        f"{FOLDER}/benchmarks/metadata/card.tsv"
    resources:
        mem_mb=1000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.metadata.card --settings {params.settings} --sources {input.sources}"
        " --stores {params.stores} --output {output} 2>&1 | tee {log}"


rule describe:
    """Croissant, STAC and the dataset card of all stores"""
    input:
        rules.dataset_card.output,
        expand(rules.store_metadata.output, described=BUILT_STORES),
    message:
        "All stores are described"


rule describe_imports:
    """Croissant and STAC of the imported stores that the settings name"""
    input:
        expand(rules.store_metadata.output, described=CONFIGURED_IMPORTS),
    message:
        "The imported stores are described"
