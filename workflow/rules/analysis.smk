# The figures behind the tables, each as data (CSV) and picture (PNG, SVG).

rule map_figure:
    input:
        networks_of_task,
    output:
        multiext(f"{FIGURES}/maps_{{task}}", *FIGURE),
    params:
        settings=SETTINGS_FILE,
        rows=rows_folder,
        tiles=EVALUATE.figure_tiles,
        stem=lambda wildcards, output: Path(output[0]).with_suffix(""),
    message:
        "{wildcards.task}: maps side by side"
    log:
        f"{FOLDER}/logs/figures/maps_{{task}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/figures/maps_{{task}}.tsv"
    resources:
        mem_mb=4000,
    conda:
        "../../envs/train.yaml"
    shell:
        "python -m training.analysis maps --settings {params.settings} --rows {params.rows}"
        " --task {wildcards.task} --output {params.stem} 2>&1 | tee {log}"


rule weight_figure:
    input:
        [file for key, file in KEPT_NETWORKS.items() if key.mode == "finetuned"],
    output:
        multiext(f"{FIGURES}/weights", *FIGURE),
    params:
        settings=SETTINGS_FILE,
        rows=rows_folder,
        stem=lambda wildcards, output: Path(output[0]).with_suffix(""),
    message:
        "Weights before and after fine-tuning"
    log:
        f"{FOLDER}/logs/figures/weights.log",
    benchmark:
        f"{FOLDER}/benchmarks/figures/weights.tsv"
    resources:
        mem_mb=4000,
    conda:
        "../../envs/train.yaml"
    shell:
        "python -m training.analysis weights --settings {params.settings} --rows {params.rows}"
        " --output {params.stem} 2>&1 | tee {log}"


rule variance_figure:
    input:
        lambda wildcards: finished_store(EVALUATE.tasks[wildcards.task].store),
        lambda wildcards: [file for name in EVALUATE.encoders_used for file in encoder_file(name)],
    output:
        multiext(f"{FIGURES}/variance_{{task}}", *FIGURE),
    params:
        settings=SETTINGS_FILE,
        samples=EVALUATE.figure_samples,
        defining=variance_defining,
        stem=lambda wildcards, output: Path(output[0]).with_suffix(""),
    message:
        "{wildcards.task}: accumulated variance of the features"
    log:
        f"{FOLDER}/logs/figures/variance_{{task}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/figures/variance_{{task}}.tsv"
    resources:
        mem_mb=6000,
    conda:
        "../../envs/train.yaml"
    shell:
        "python -m training.analysis variance --settings {params.settings}"
        " --task {wildcards.task} --output {params.stem} 2>&1 | tee {log}"


rule statistics_figure:
    input:
        encoders_of_runs(COMPARED_RUNS),
    output:
        multiext(f"{FIGURES}/statistics", *FIGURE),
    params:
        settings=SETTINGS_FILE,
        runs=runs_folder,
        names=COMPARED_RUNS,
        stem=lambda wildcards, output: Path(output[0]).with_suffix(""),
    message:
        "Batch-norm statistics of the runs over epochs"
    log:
        f"{FOLDER}/logs/figures/statistics.log",
    benchmark:
        f"{FOLDER}/benchmarks/figures/statistics.tsv"
    resources:
        mem_mb=4000,
    conda:
        "../../envs/train.yaml"
    shell:
        "python -m training.analysis statistics --settings {params.settings}"
        " --runs {params.runs} --run {params.names} --output {params.stem} 2>&1 | tee {log}"


rule selection_figure:
    input:
        lambda wildcards: encoders_of_runs([wildcards.run]),
    output:
        multiext(f"{FIGURES}/selection_{{run}}", *FIGURE),
    params:
        settings=SETTINGS_FILE,
        runs=runs_folder,
        store=PRETRAIN.store or store_folder,
        samples=PRETRAIN.panel_samples,
        seed=SETTINGS.seed,
        stem=lambda wildcards, output: Path(output[0]).with_suffix(""),
    wildcard_constraints:
        run="[A-Za-z0-9_-]+",
    message:
        "{wildcards.run}: which labels it trusts"
    log:
        f"{FOLDER}/logs/figures/selection_{{run}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/figures/selection_{{run}}.tsv"
    resources:
        mem_mb=4000,
    conda:
        "../../envs/train.yaml"
    shell:
        "python -m training.analysis selection --settings {params.settings}"
        " --runs {params.runs} --run {wildcards.run} --store {params.store}"
        " --output {params.stem} 2>&1 | tee {log}"


rule analysis:
    """figures: maps, weights, features, batch-norm statistics, selection"""
    input:
        expand(rules.map_figure.output, task=EVALUATE.tasks_used) if KEPT_SEEDS else [],
        rules.weight_figure.output if KEPT_SEEDS and "finetuned" in EVALUATE.modes else [],
        expand(rules.variance_figure.output, task=EVALUATE.tasks_used[:1]),
        rules.statistics_figure.output if COMPARED_RUNS else [],
        expand(rules.selection_figure.output, run=SELECTING_RUNS),
    message:
        "The figures are in {input}"
