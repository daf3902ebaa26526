# One target per run of the settings: an encoder, its log and its exported weights. A run keeps its
# checkpoints beside its outputs, so that the same command goes on where a killed one stopped.

from training.run.gpus import installed_gpus, visible_gpus

PRETRAIN = SETTINGS.pretrain
RUN_GPUS = 0 if PRETRAIN.accelerator == "cpu" else PRETRAIN.devices

# Runs wait for each other here; which GPUs a run takes it decides itself (training/run/gpus.py).
# Of jobs that are submitted the batch system takes care.
GPUS = visible_gpus(os.environ, installed_gpus())
if GPUS and not SUBMITTED:
    workflow.global_resources.setdefault("gpu", len(GPUS))


def process_per_device(devices, nodes, workers):
    """What starts a job on several devices or machines, and the resources it then asks for.

    Under Slurm it is one process for each device, and Slurm starts them; elsewhere Lightning does.
    """
    if not SUBMITTED or devices * nodes == 1:
        return "", {}
    # Without the last word the others would wait for a process that has died.
    launcher = (
        f"srun --nodes={nodes} --ntasks-per-node={devices} --cpus-per-task={workers + 1}"
        " --kill-on-bad-exit=1 "
    )
    return launcher, {"mpi": "srun", "nodes": nodes, "tasks": devices * nodes, "tasks_per_gpu": 1}


LAUNCHER, TASKS = process_per_device(PRETRAIN.devices, PRETRAIN.nodes, PRETRAIN.workers)


def training_store_records():
    """What must be made before a run starts: the dataset's own store, unless another one is set."""
    if PRETRAIN.store is None:
        return [rules.finish_nol.output.index, *rules.nol_statistics.output]
    return [] if "://" in PRETRAIN.store else [f"{PRETRAIN.store}/zarr.json"]


def scored_store_records(wildcards):
    """What must be made before a run is scored on expert or true labels; both are named by paths."""
    stores = filter(None, [PRETRAIN.clean_store, PRETRAIN.truth_store])
    return [finished_store(f"./{store}" if Path(store).name == store else store) for store in stores]


for RUN, RECIPE in PRETRAIN.runs.items():

    rule:
        """an encoder trained on nol.zarr, its metrics and its checkpoints"""
        name:
            f"pretrain_{RUN}"
        input:
            training_store_records(),
            scored_store_records,
        output:
            expand(f"{FOLDER}/runs/{RUN}/encoders/{{modality}}.safetensors", modality=RECIPE.modalities),
        params:
            settings=SETTINGS_FILE,
            store=PRETRAIN.store or store_folder,
            run=RUN,
            folder=lambda wildcards, output: Path(output[0]).parents[1].as_posix(),
            recipe=RECIPE.model_dump(mode="json"),
            seed=SETTINGS.seed,
        message:
            "Pretraining {params.run}"
        log:
            f"{FOLDER}/logs/pretrain/{RUN}.log",
        benchmark:
            f"{FOLDER}/benchmarks/pretrain/{RUN}.tsv"
        threads: (PRETRAIN.workers + 1) * (1 if TASKS else PRETRAIN.devices)
        priority: 1 # everything else of an evaluation can go on beside the longest job
        resources:
            gpu=RUN_GPUS * PRETRAIN.nodes,
            mem_mb=8000 * PRETRAIN.devices,
            **TASKS,
        conda:
            "../../envs/train.yaml"
        shell:
            LAUNCHER + "python -m training.pretrain --settings {params.settings} --run {params.run}"
            " --store {params.store} --output {params.folder} 2>&1 | tee {log}"
