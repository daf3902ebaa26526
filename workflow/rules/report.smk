# One page about the whole build: what was made, what it looks like, what is wrong with it.


rule label_sums:
    input:
        rules.finish_nol.output.index,
        rules.finish_dw.output.index,
        rules.make_osm.output.table,
    output:
        f"{FOLDER}/report/label_sums.json",
    params:
        stores=[STORE, DW_STORE, OSM_STORE],
    message:
        "Counting the labels of all stores"
    log:
        f"{FOLDER}/logs/report/label_sums.log",
    benchmark:
        f"{FOLDER}/benchmarks/report/label_sums.tsv"
    threads: CORES_OF_A_JOB
    resources:
        mem_mb=2000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.report.label_sums {params.stores} --output {output}"
        f" --threads {{threads}} {WORKERS} 2>&1 | tee {{log}}"


rule report:
    """index.html in report/: what was built, how it looks, what is wrong with it"""
    input:
        rules.nol_statistics.output,
        rules.verify.input,
        label_sums=rules.label_sums.output,
    output:
        f"{FOLDER}/report/index.html",
    params:
        settings=SETTINGS_FILE,
    message:
        "Writing the report {output}"
    log:
        f"{FOLDER}/logs/report/report.log",
    benchmark:
        f"{FOLDER}/benchmarks/report/report.tsv"
    resources:
        mem_mb=2000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.report --settings {params.settings} --label-sums {input.label_sums}"
        " --output {output} 2>&1 | tee {log}"
