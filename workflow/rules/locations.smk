# Where: draw or read the places, cut them into shards.


rule locations:
    output:
        f"{FOLDER}/locations.parquet",
    params:
        settings=SETTINGS_FILE,
        locations=COUNT,
        defining=defining("seed", "grid", "locations", "seasons", "store"),
    message:
        "Choosing {params.locations} locations"
    log:
        f"{FOLDER}/logs/locations.log",
    benchmark:
        f"{FOLDER}/benchmarks/locations.tsv"
    resources:
        mem_mb=1000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.locations --settings {params.settings} --output {output} 2>&1"
        " | tee {log}"
