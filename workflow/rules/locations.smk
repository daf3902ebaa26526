# Where: draw or read the places, cut them into shards. The file is named by how many there are, so
# that a dataset that grows gets a new list and nothing that was made from the old one is disturbed.


rule locations:
    output:
        f"{FOLDER}/locations/{{places}}.parquet",
    params:
        settings=SETTINGS_FILE,
        defining=defining("seed", "grid", "locations", "seasons", "store"),
    message:
        "Choosing {wildcards.places} locations"
    log:
        f"{FOLDER}/logs/locations/{{places}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/locations/{{places}}.tsv"
    resources:
        mem_mb=1000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.locations --settings {params.settings} --output {output} 2>&1"
        " | tee {log}"
