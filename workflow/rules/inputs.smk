# What lies in object storage is brought to the shared disk before the step that reads it.


rule bring_input:
    output:
        f"{INPUTS.as_posix()}/{{digest}}.json",
    params:
        url=lambda wildcards: REMOTE_INPUTS[wildcards.digest],
        folder=inputs_folder,
    message:
        "Fetching {params.url}"
    log:
        f"{FOLDER}/logs/inputs/{{digest}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/inputs/{{digest}}.tsv"
    wildcard_constraints:
        digest="[0-9a-f]{16}",
    resources:
        mem_mb=1000,
    conda:
        "../../envs/build.yaml"
    shell:
        "python -m pipeline.inputs --url {params.url:q} --folder {params.folder}"
        " --record {output} 2>&1 | tee {log}"
