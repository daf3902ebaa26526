# Downstream evaluation: every task with every encoder, mode and seed is one job and one row in a
# file of its own. A row that is missing is made, the others stay; jobs share the GPUs by Snakemake's
# own resources, and which GPU a job takes it decides itself (training/run/gpus.py).

localrules:
    evaluate,
    tables,
    probe,
    ablation,
    analysis,


wildcard_constraints:
    task="[A-Za-z0-9_-]+",
    encoder="[A-Za-z0-9_-]+",
    mode="frozen|finetuned",
    fraction=r"[0-9.e-]+",


for SEEDS, KEEPS in ((KEPT_SEEDS, True), (OTHER_SEEDS, False)):
    if not SEEDS:
        continue
    ROW = f"{SCORES}/rows/{{task}}/{{encoder}}/{{mode}}_{{fraction}}_{{seed}}"
    NETWORK = [f"{ROW}.safetensors"] if KEEPS else []

    rule:
        name:
            "evaluate_row_and_keep" if KEEPS else "evaluate_row"
        input:
            lambda wildcards: finished_store(EVALUATE.tasks[wildcards.task].store),
            lambda wildcards: encoder_file(wildcards.encoder),
        output:
            NETWORK,
            row=f"{ROW}.parquet",
        params:
            settings=SETTINGS_FILE,
            defining=evaluation_defining,
            keep=network_option,
        wildcard_constraints:
            seed="|".join(SEEDS),
        message:
            "{wildcards.task}: {wildcards.encoder}, {wildcards.mode}, seed {wildcards.seed}"
        log:
            f"{FOLDER}/logs/evaluate/{{task}}/{{encoder}}/{{mode}}_{{fraction}}_{{seed}}.log",
        benchmark:
            f"{FOLDER}/benchmarks/evaluate/{{task}}/{{encoder}}/{{mode}}_{{fraction}}_{{seed}}.tsv"
        threads: evaluation_threads
        resources:
            gpu=EVALUATION_GPUS,
            mem_mb=6000 * EVALUATE.devices,
            **EVALUATION_TASKS,
        conda:
            "../../envs/train.yaml"
        shell:
            EVALUATION_LAUNCHER
            + "python -m training.evaluate --settings {params.settings} --task {wildcards.task}"
            " --encoder {wildcards.encoder} --mode {wildcards.mode} --seed {wildcards.seed}"
            " --label-fraction {wildcards.fraction} --output {output.row} {params.keep} 2>&1"
            " | tee {log}"


rule probe_encoder:
    input:
        finished_store(EVALUATE.probe.store or "eurosat.zarr"),
        lambda wildcards: encoder_file(wildcards.encoder),
    output:
        f"{SCORES}/probe/{{encoder}}.parquet",
    params:
        settings=SETTINGS_FILE,
        defining=probe_defining,
        seeds=EVALUATE.seeds,
    message:
        "Probing {wildcards.encoder}"
    log:
        f"{FOLDER}/logs/probe/{{encoder}}.log",
    benchmark:
        f"{FOLDER}/benchmarks/probe/{{encoder}}.tsv"
    resources:
        gpu=min(1, EVALUATION_GPUS),
        mem_mb=4000,
    conda:
        "../../envs/train.yaml"
    shell:
        "python -m training.probe --settings {params.settings} --encoder {wildcards.encoder}"
        " --seeds {params.seeds} --output {output} 2>&1 | tee {log}"


rule probe_table:
    input:
        probe_rows,
    output:
        multiext(f"{TABLES}/probe", ".md", ".tex", ".html"),
    params:
        table=lambda wildcards, output: Path(output[0]).with_suffix(""),
    message:
        "Writing the table of the probes"
    log:
        f"{FOLDER}/logs/probe_table.log",
    benchmark:
        f"{FOLDER}/benchmarks/probe_table.tsv"
    resources:
        mem_mb=1000,
    conda:
        "../../envs/train.yaml"
    shell:
        "python -m training.tables --probes {input} --output {params.table} 2>&1 | tee {log}"


rule gather_scores:
    input:
        # not named: Snakemake hashes a named list once for each of its files
        ROWS,
    output:
        scores=f"{SCORES}/scores.parquet",
        csv=f"{SCORES}/scores.csv",
        summary=f"{SCORES}/summary.parquet",
    params:
        settings=SETTINGS_FILE,
        rows=rows_folder,
        replicates=EVALUATE.bootstrap_replicates,
    message:
        "Gathering the scores"
    log:
        f"{FOLDER}/logs/gather_scores.log",
    benchmark:
        f"{FOLDER}/benchmarks/gather_scores.tsv"
    resources:
        mem_mb=2000,
    conda:
        "../../envs/train.yaml"
    shell:
        "python -m training.gather --settings {params.settings} --rows {params.rows}"
        " --output {output.scores} --summary {output.summary} 2>&1 | tee {log}"


rule task_tables:
    input:
        summary=rules.gather_scores.output.summary,
    output:
        multiext(f"{TABLES}/tasks", ".md", ".tex", ".html"),
    params:
        table=lambda wildcards, output: Path(output[0]).with_suffix(""),
    message:
        "Writing the tables"
    log:
        f"{FOLDER}/logs/task_tables.log",
    benchmark:
        f"{FOLDER}/benchmarks/task_tables.tsv"
    resources:
        mem_mb=1000,
    conda:
        "../../envs/train.yaml"
    shell:
        "python -m training.tables --summary {input.summary} --output {params.table}"
        " 2>&1 | tee {log}"


rule ablation_table:
    input:
        summary=rules.gather_scores.output.summary,
    output:
        multiext(f"{TABLES}/ablation", ".md", ".tex", ".html"),
    params:
        table=lambda wildcards, output: Path(output[0]).with_suffix(""),
        encoders=EVALUATE.ablation,
    message:
        "Writing the table of the ablation"
    log:
        f"{FOLDER}/logs/ablation_table.log",
    benchmark:
        f"{FOLDER}/benchmarks/ablation_table.tsv"
    resources:
        mem_mb=1000,
    conda:
        "../../envs/train.yaml"
    shell:
        "python -m training.tables --summary {input.summary} --output {params.table}"
        " --ablation {params.encoders} 2>&1 | tee {log}"


rule evaluate:
    """every encoder on every task: a row of scores each, gathered in scores.parquet"""
    input:
        # the rows themselves, so that one that was removed is missed
        ROWS,
        PROBES,
        *rules.gather_scores.output,
    params:
        scores=scores_folder,
    message:
        "The scores are in {params.scores}"


rule probe:
    """a linear probe and neighbours on frozen features, as of EuroSAT (evaluate.probe.store)"""
    input:
        *rules.probe_table.output,
    params:
        tables=tables_folder,
    message:
        "The probes are in {params.tables}"


rule ablation:
    """a table of the encoders named in evaluate.ablation, over all tasks"""
    input:
        ROWS,
        *rules.ablation_table.output,
    params:
        tables=tables_folder,
    message:
        "The ablation is in {params.tables}"


rule tables:
    """tables of scores as Markdown, LaTeX and HTML, and the figures"""
    input:
        ROWS,
        *rules.task_tables.output,
        rules.ablation_table.output if ABLATION else [],
        rules.probe_table.output if PROBES else [],
        *rules.analysis.input,
    params:
        tables=tables_folder,
        figures=figures_folder,
    message:
        "The tables are in {params.tables}, the figures in {params.figures}"
