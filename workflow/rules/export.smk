# Finished stores and encoders in the forms that other tools read. The files of an export are no
# outputs of a job, so that an interrupted one goes on where it was.


rule export_geotiff:
    """the validation samples of nol.zarr as GeoTIFFs, for QGIS"""
    input:
        rules.finish_nol.output.index,
    output:
        touch(f"{EXPORT}/geotiff.done"),
    params:
        store=store_folder,
        folder=lambda wildcards, output: output[0].removesuffix(".done"),
    message:
        "Exporting the validation samples of {params.store} to {params.folder}"
    log:
        f"{FOLDER}/logs/export/geotiff.log",
    benchmark:
        f"{FOLDER}/benchmarks/export/geotiff.tsv"
    threads: CORES_OF_A_JOB
    resources:
        mem_mb=2000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.export geotiff {params.store} --output {params.folder}"
        " --split validation --workers {threads} 2>&1 | tee {log}"


rule export_webdataset:
    """nol.zarr as WebDataset shards"""
    input:
        rules.finish_nol.output.index,
    output:
        touch(f"{EXPORT}/webdataset.done"),
    params:
        store=store_folder,
        folder=lambda wildcards, output: output[0].removesuffix(".done"),
    message:
        "Exporting {params.store} to {params.folder}"
    log:
        f"{FOLDER}/logs/export/webdataset.log",
    benchmark:
        f"{FOLDER}/benchmarks/export/webdataset.tsv"
    threads: CORES_OF_A_JOB
    resources:
        mem_mb=2000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.export webdataset {params.store} --output {params.folder}"
        " --workers {threads} 2>&1 | tee {log}"


rule hub_encoders:
    input:
        lambda wildcards: encoders_of(wildcards.run),
    output:
        touch(f"{EXPORT}/{{run}}.done"),
    params:
        run=lambda wildcards, input: Path(input[0]).parents[1].as_posix(),
        folder=lambda wildcards, output: Path(output[0]).with_name("encoders").as_posix(),
    message:
        "Preparing the encoders of {wildcards.run} for the Hub"
    log:
        f"{FOLDER}/logs/export/{{run}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/export/{{run}}.tsv"
    wildcard_constraints:
        run="|".join(PRETRAIN.runs) or "none",
    resources:
        mem_mb=2000,
    conda:
        "../../envs/train.yaml"
    shell:
        "(python -m training.model_card --run {params.run}"
        " && python -m training.hub_folder --run {params.run} --output {params.folder})"
        " 2>&1 | tee {log}"


rule export_encoders:
    """the trained encoders with model cards, as folders for the Hugging Face Hub"""
    input:
        trained_runs,
    message:
        "The encoders are ready"
