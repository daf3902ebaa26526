# What the exports of export.smk are made from.

EXPORT = f"{FOLDER}/export"


def encoders_of(run):
    """The files that a run exports."""
    modalities = PRETRAIN.runs[run].modalities
    return [f"{FOLDER}/runs/{run}/encoders/{modality}.safetensors" for modality in modalities]


def trained_runs(wildcards):
    """The finished runs, prepared; an export starts no training."""
    trained = [run for run in PRETRAIN.runs if all(map(os.path.exists, encoders_of(run)))]
    if not trained:
        raise WorkflowError("no run has been trained yet; train one, e.g. `snakemake pretrain_midF`")
    return [f"{EXPORT}/{run}.done" for run in trained]
