# Downstream evaluation: every task with every encoder, mode and seed is one job and one row in a
# file of its own. A row that is missing is made, the others stay; jobs share the GPUs by Snakemake's
# own resources, and which GPU a job takes it decides itself (training/gpus.py).

EVALUATE = SETTINGS.evaluate
SCORES = f"{FOLDER}/scores"
TABLES = f"{FOLDER}/tables"
FIGURES = f"{FOLDER}/figures"
EVALUATION_GPUS = 0 if EVALUATE.accelerator == "cpu" else EVALUATE.devices
ROWS = [f"{SCORES}/rows/{key.path}" for key in EVALUATE.planned()]
PROBES = [f"{SCORES}/probe/{name}.parquet" for name in EVALUATE.encoders_used if EVALUATE.probe.store]
KEPT_SEEDS = [str(seed) for seed in EVALUATE.seeds if seed in EVALUATE.kept_seeds]
OTHER_SEEDS = [str(seed) for seed in EVALUATE.seeds if seed not in EVALUATE.kept_seeds]
STORE_RECORDS = {
    "dw.zarr": f"{FOLDER}/dw.index.parquet",
    "osm.zarr": f"{FOLDER}/osm.summary.txt",
    "noldo_dw.zarr": f"{FOLDER}/noldo_dw.txt",
    "noldo_osm.zarr": f"{FOLDER}/noldo_osm.txt",
    "dfc2020.zarr": f"{FOLDER}/dfc2020.txt",
    "eurosat.zarr": f"{FOLDER}/eurosat.txt",
}


localrules:
    evaluate,
    tables,
    ablation,
    analysis,


def finished_store(store):
    """The file that says that a store of tiles is complete."""
    if Path(store).name != store:
        return f"{store}/zarr.json"
    return STORE_RECORDS.get(store, f"{FOLDER}/{store}/zarr.json")


def encoder_file(name):
    """The weights of an encoder that are a file: of a run, which makes them, or one of the user's."""
    encoder = EVALUATE.encoders[name]
    if encoder.run is None:
        return [encoder.weights] if Path(encoder.weights).name != encoder.weights else []
    if encoder.run not in PRETRAIN.runs:
        raise WorkflowError(
            f"evaluate.encoders.{name}.weights = {encoder.weights!r}: pretrain.runs has only "
            f"{', '.join(PRETRAIN.runs)}"
        )
    return [f"{FOLDER}/runs/{encoder.run}/encoders/{encoder.modality}.safetensors"]


def scores_folder(wildcards):
    """Where the gathered scores lie."""
    return SCORES


def rows_folder(wildcards):
    """The folder of the rows."""
    return f"{SCORES}/rows"


def runs_folder(wildcards):
    """The folder of the pretraining runs."""
    return f"{FOLDER}/runs"


def tables_folder(wildcards):
    """Where the tables lie."""
    return TABLES


def figures_folder(wildcards):
    """Where the figures lie."""
    return FIGURES


def network_option(wildcards, output):
    """Keep the trained network where the rule has an output for it."""
    return [f"--network {file}" for file in output if file.endswith(".safetensors")]


def evaluation_defining(wildcards):
    """The settings that decide a row: when they change, its job runs again."""
    return EVALUATE.defining(wildcards.task, wildcards.encoder)


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
        threads: EVALUATE.devices * (EVALUATE.workers + 1)
        resources:
            gpu=EVALUATION_GPUS,
            mem_mb=6000 * EVALUATE.devices,
        conda:
            "../../envs/train.yaml"
        shell:
            "python -m training.evaluate --settings {params.settings} --task {wildcards.task}"
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
        defining=EVALUATE.probe.model_dump(mode="json"),
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
        " --output {output} 2>&1 | tee {log}"


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
        PROBES,
        summary=rules.gather_scores.output.summary,
    output:
        multiext(f"{TABLES}/tasks", ".md", ".tex", ".html"),
    params:
        table=lambda wildcards, output: Path(output[0]).with_suffix(""),
        probes=lambda wildcards, input: [file for file in input if file in PROBES],
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
        " --probes {params.probes} 2>&1 | tee {log}"


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


rule ablation:
    """a table of the encoders named in evaluate.ablation, over all tasks"""
    input:
        ROWS,
        *rules.ablation_table.output,
    params:
        tables=tables_folder,
    message:
        "The ablation is in {params.tables}"


include: "analysis.smk"


rule tables:
    """tables of scores as Markdown, LaTeX and HTML, and the figures"""
    input:
        ROWS,
        *rules.task_tables.output,
        *rules.analysis.input,
    params:
        tables=tables_folder,
        figures=figures_folder,
    message:
        "The tables are in {params.tables}, the figures in {params.figures}"
