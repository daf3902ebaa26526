# Where: draw or read the places, cut them into shards.


rule locations:
    output:
        f"{FOLDER}/locations.parquet",
    params:
        settings=SETTINGS_FILE,
        count=COUNT,
        defining=defining("seed", "grid", "locations", "seasons", "store"),
    message:
        "Choosing {params.count} locations"
    log:
        f"{FOLDER}/logs/locations.log",
    benchmark:
        f"{FOLDER}/benchmarks/locations.tsv"
    resources:
        mem_mb=1000,
    shell:
        "python -m pipeline.locations --settings {params.settings} --output {output} 2>&1"
        " | tee {log}"
