# What others have published, into stores of the same form. An import keeps its state beside its
# store (<store>.import), so that a job which was killed goes on where it stopped.

IMPORTS = SETTINGS.importers
IMPORT_CORES = 4  # three compress what one decodes
SSL4EO_STORE = f"{FOLDER}/ssl4eo.zarr"
SSL4EO_LABELS = {
    "none": [],
    "noldo": [f"{FOLDER}/ssl4eo.noldo.txt"],
    "earthengine": [f"{FOLDER}/ssl4eo.earthengine.txt"],
}
NOLDO_SOURCES = {"dw": IMPORTS.noldo_dw, "osm": IMPORTS.noldo_osm}
NOLDO_BROUGHT = {name: brought(sources) for name, sources in NOLDO_SOURCES.items()}
# those that the settings name; without any both, so that the run says what is missing
NOLDO_SUBSETS = [name for name, sources in NOLDO_SOURCES.items() if sources] or [*NOLDO_SOURCES]


localrules:
    import_ssl4eo,
    import_noldo,
    import_dfc2020,
    import_eurosat,


wildcard_constraints:
    subset="dw|osm",


rule ssl4eo_images:
    input:
        brought(IMPORTS.ssl4eo),
    output:
        f"{FOLDER}/ssl4eo.images.txt",
    params:
        sources=local(IMPORTS.ssl4eo),
        store=SSL4EO_STORE,
        values=IMPORTS.s2_values,
    message:
        "Importing SSL4EO-S12"
    log:
        f"{FOLDER}/logs/ssl4eo_images.log",
    benchmark:
        f"{FOLDER}/benchmarks/ssl4eo_images.tsv"
    threads: IMPORT_CORES
    resources:
        mem_mb=2000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.importers.ssl4eo --source {params.sources:q} --store {params.store}"
        " --s2-values {params.values} --workers {threads} --summary {output} 2>&1 | tee {log}"


rule ssl4eo_noisy_labels:
    input:
        rules.ssl4eo_images.output,
        brought(IMPORTS.noldo_nol),
    output:
        f"{FOLDER}/ssl4eo.noldo.txt",
    params:
        sources=local(IMPORTS.noldo_nol),
        store=SSL4EO_STORE,
    message:
        "Adding the noisy labels of NoLDO-S12"
    log:
        f"{FOLDER}/logs/ssl4eo_noisy_labels.log",
    benchmark:
        f"{FOLDER}/benchmarks/ssl4eo_noisy_labels.tsv"
    resources:
        mem_mb=2000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.importers.noldo --subset nol --source {params.sources:q}"
        " --store {params.store} --summary {output} 2>&1 | tee {log}"


rule ssl4eo_earth_engine_labels:
    input:
        rules.ssl4eo_images.output,
    output:
        f"{FOLDER}/ssl4eo.earthengine.txt",
    params:
        settings=SETTINGS_FILE,
        store=SSL4EO_STORE,
    message:
        "Asking Earth Engine for the labels of the imported scenes"
    log:
        f"{FOLDER}/logs/ssl4eo_earth_engine_labels.log",
    benchmark:
        f"{FOLDER}/benchmarks/ssl4eo_earth_engine_labels.tsv"
    resources:
        ee_slots=PIXEL_SLOTS,
        mem_mb=2000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.importers.ssl4eo_labels --settings {params.settings}"
        " --store {params.store} --slots {resources.ee_slots} --summary {output} 2>&1 | tee {log}"


rule import_ssl4eo:
    """ssl4eo.zarr: SSL4EO-S12, v1.0 or v1.1, with labels if the settings ask for them"""
    input:
        rules.ssl4eo_images.output,
        SSL4EO_LABELS[IMPORTS.ssl4eo_labels],
    message:
        "ssl4eo.zarr is complete"


rule noldo_tiles:
    input:
        lambda wildcards: NOLDO_BROUGHT[wildcards.subset],
    output:
        f"{FOLDER}/noldo_{{subset}}.txt",
    params:
        sources=lambda wildcards: local(NOLDO_SOURCES[wildcards.subset]),
        store=f"{FOLDER}/noldo_{{subset}}.zarr",
        values=IMPORTS.s2_values,
        numbering=IMPORTS.osm_numbering,
    message:
        "Importing the {wildcards.subset} tiles of NoLDO-S12"
    log:
        f"{FOLDER}/logs/noldo_{{subset}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/noldo_{{subset}}.tsv"
    threads: IMPORT_CORES
    resources:
        mem_mb=2000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.importers.noldo --subset {wildcards.subset}"
        " --source {params.sources:q} --store {params.store} --s2-values {params.values}"
        " --osm-numbering {params.numbering} --workers {threads}"
        " --summary {output} 2>&1 | tee {log}"


rule import_noldo:
    """noldo_dw.zarr, noldo_osm.zarr: the tiles of NoLDO-S12 as released"""
    input:
        expand(rules.noldo_tiles.output, subset=NOLDO_SUBSETS),
    message:
        "The tiles of NoLDO-S12 are complete"


rule dfc2020_patches:
    input:
        brought(IMPORTS.dfc2020),
    output:
        f"{FOLDER}/dfc2020.txt",
    params:
        sources=local(IMPORTS.dfc2020),
        store=f"{FOLDER}/dfc2020.zarr",
        values=IMPORTS.s2_values,
    message:
        "Importing DFC2020"
    log:
        f"{FOLDER}/logs/dfc2020.log",
    benchmark:
        f"{FOLDER}/benchmarks/dfc2020.tsv"
    threads: IMPORT_CORES
    resources:
        mem_mb=2000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.importers.dfc2020 --source {params.sources:q} --store {params.store}"
        " --s2-values {params.values} --workers {threads} --summary {output} 2>&1 | tee {log}"


rule import_dfc2020:
    """dfc2020.zarr: DFC2020, eight classes"""
    input:
        rules.dfc2020_patches.output,
    message:
        "dfc2020.zarr is complete"


rule eurosat_patches:
    input:
        brought(IMPORTS.eurosat),
    output:
        f"{FOLDER}/eurosat.txt",
    params:
        sources=local(IMPORTS.eurosat),
        store=f"{FOLDER}/eurosat.zarr",
        values=IMPORTS.s2_values,
    message:
        "Importing EuroSAT"
    log:
        f"{FOLDER}/logs/eurosat.log",
    benchmark:
        f"{FOLDER}/benchmarks/eurosat.tsv"
    threads: IMPORT_CORES
    resources:
        mem_mb=2000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.importers.eurosat --source {params.sources:q} --store {params.store}"
        " --s2-values {params.values} --workers {threads} --summary {output} 2>&1 | tee {log}"


rule import_eurosat:
    """eurosat.zarr: EuroSAT, ten classes of scenes"""
    input:
        rules.eurosat_patches.output,
    message:
        "eurosat.zarr is complete"
