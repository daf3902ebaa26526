# Which rows, networks and figures an evaluation makes, and which files each needs.

import csv

EVALUATE = SETTINGS.evaluate
SCORES = f"{FOLDER}/scores"
TABLES = f"{FOLDER}/tables"
FIGURES = f"{FOLDER}/figures"
EVALUATION_GPUS = 0 if EVALUATE.accelerator == "cpu" else EVALUATE.devices
EVALUATION_LAUNCHER, EVALUATION_TASKS = process_per_device(EVALUATE.devices, 1, EVALUATE.workers)
ROWS = [f"{SCORES}/rows/{key.path}" for key in EVALUATE.planned()]
PROBES = [f"{SCORES}/probe/{name}.parquet" for name in EVALUATE.encoders_used if EVALUATE.probe.store]
KEPT_SEEDS = [str(seed) for seed in EVALUATE.seeds if seed in EVALUATE.kept_seeds]
OTHER_SEEDS = [str(seed) for seed in EVALUATE.seeds if seed not in EVALUATE.kept_seeds]
STORE_RECORDS = {
    "dw.zarr": f"{FOLDER}/dw.statistics.json",
    "osm.zarr": f"{FOLDER}/osm.statistics.json",
    "noldo_dw.zarr": f"{FOLDER}/noldo_dw.txt",
    "noldo_osm.zarr": f"{FOLDER}/noldo_osm.txt",
    "dfc2020.zarr": f"{FOLDER}/dfc2020.txt",
    "eurosat.zarr": f"{FOLDER}/eurosat.txt",
}
with Path(workflow.basedir, "training/encoders/encoders.csv").open(newline="") as TABLE:
    PUBLISHED = {(row["name"], row["modality"]): row for row in csv.DictReader(TABLE)}
FIGURE = [".csv", ".png", ".svg"]
EVALUATED_RUNS = [
    run
    for run in dict.fromkeys(EVALUATE.encoders[name].run for name in EVALUATE.encoders_used)
    if run in PRETRAIN.runs
]
COMPARED_RUNS = EVALUATED_RUNS if len(EVALUATED_RUNS) > 1 else []
SELECTING_RUNS = [
    run
    for run in EVALUATED_RUNS
    if len(PRETRAIN.runs[run].modalities) > 1 and PRETRAIN.runs[run].selection.enabled
]
ABLATION = [name for name in EVALUATE.ablation if name in EVALUATE.encoders_used]
KEPT_NETWORKS = {
    key: f"{SCORES}/rows/{Path(key.path).with_suffix('.safetensors')}"
    for key in EVALUATE.planned()
    if str(key.seed) in KEPT_SEEDS
}


def finished_store(store):
    """The file that says that a store of tiles is complete; what lies at a URL is taken as it is."""
    if "://" in store:
        return []
    path = Path(store)
    if path.name != store and path.parent != Path(FOLDER):
        return (Path(store) / "zarr.json").as_posix()  # Snakemake complains of "./tiles.zarr"
    return STORE_RECORDS.get(path.name, f"{FOLDER}/{path.name}/zarr.json")


def encoder_file(name):
    """The weights of an encoder that are a file: of a run, which makes them, or one of the user's."""
    encoder = EVALUATE.encoders[name]
    if encoder.run is None:
        if encoder.file is None:
            require_published(name, encoder)
        file = EVALUATE.local_file(name)
        return [Path(file).as_posix()] if file else []
    makers = [run for run, recipe in PRETRAIN.runs.items() if encoder.modality in recipe.modalities]
    if encoder.run not in makers:
        raise WorkflowError(
            f"evaluate.encoders.{name}.weights = {encoder.weights!r}: of pretrain.runs, only "
            f"{', '.join(makers) or 'none'} make an encoder of {encoder.modality}"
        )
    return [f"{FOLDER}/runs/{encoder.run}/encoders/{encoder.modality}.safetensors"]


def require_published(name, encoder):
    """Say at once what every job of an encoder would say, after its store was built."""
    published = PUBLISHED.get((encoder.weights, encoder.modality))
    if published is None:
        raise WorkflowError(
            f"evaluate.encoders.{name}.weights: there is no encoder {encoder.weights!r} for "
            f"{encoder.modality}; `python -m training.encoders.table` lists what there is"
        )
    if published["noncommercial"] == "yes" and not EVALUATE.weights.accept_noncommercial:
        raise WorkflowError(
            f"evaluate.encoders.{name}.weights: {encoder.weights} must not be used commercially "
            f"(licence {published['licence']}); set evaluate.weights.accept_noncommercial: true "
            "if that is fine for your work"
        )


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


def evaluation_threads(wildcards):
    """Cores of a process, but never so many that a GPU stays idle for want of cores."""
    devices = 1 if EVALUATION_TASKS else EVALUATE.devices
    threads = devices * (EVALUATE.workers + 1)
    gpus = workflow.global_resources.get("gpu")
    if SUBMITTED or not EVALUATION_GPUS or gpus is None or not gpus.value or not workflow.cores:
        return threads
    return max(1, min(threads, workflow.cores * EVALUATE.devices // gpus.value))


def network_option(wildcards, output):
    """Keep the trained network where the rule has an output for it."""
    return [f"--network {file}" for file in output if file.endswith(".safetensors")]


def evaluation_defining(wildcards):
    """What decides a row beside its inputs: when it changes, the job runs again."""
    return EVALUATE.defining(wildcards.task, wildcards.encoder) | own_weights(wildcards.encoder)


def probe_defining(wildcards):
    """What decides the rows of a probe beside its inputs."""
    encoder = EVALUATE.encoders[wildcards.encoder]
    settings = [part.model_dump(mode="json") for part in (EVALUATE.probe, encoder)]
    own = own_weights(wildcards.encoder)
    return [*settings, own] if own else settings


def variance_defining(wildcards):
    """What decides the figure of the features of all encoders beside its inputs."""
    encoders = {
        name: EVALUATE.defining(wildcards.task, name) | own_weights(name)
        for name in EVALUATE.encoders_used
    }
    return {"encoders": encoders, "seed": EVALUATE.seeds[0]}


def own_weights(name):
    """Size and time of the user's own file of weights: one that takes its place may be older."""
    file = EVALUATE.local_file(name)
    if not file or not os.path.exists(file):
        return {}
    found = os.stat(file)
    return {"weights": [found.st_size, found.st_mtime_ns]}


def probe_rows(wildcards):
    """The rows of all probes."""
    if not PROBES:
        raise WorkflowError(
            "evaluate.probe.store is null; name a store of tiles such as eurosat.zarr"
        )
    return PROBES


def encoders_of_runs(names):
    """What a run has made when it has ended; its checkpoints lie beside."""
    return [
        f"{FOLDER}/runs/{run}/encoders/{modality}.safetensors"
        for run in names
        for modality in PRETRAIN.runs[run].modalities
    ]


def networks_of_task(wildcards):
    """The trained networks of a task that are kept."""
    return [file for key, file in KEPT_NETWORKS.items() if key.task == wildcards.task]
