"""What to know before using an encoder: ``python -m training.model_card --run FOLDER``.

Writes ``encoders/<modality>.md`` beside the weights, a model card in the form of the Hugging Face
Hub (https://huggingface.co/docs/hub/model-cards): a YAML header for machines, Markdown for people.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData

import pipeline
from pipeline.atomic_file import write_atomically
from pipeline.errors import run_step
from training.cromss.fusion import Modality
from training.encoders.loading_snippets import is_resnet, loading_snippets
from training.loading.inputs import InputContract
from training.run.trained_run import PublishedScore, TrainedRun, read_run

LICENCE = "mit"
"""Default licence of the weights: that of the package which made them."""

SIMULATED_WARNING = (
    "> **SIMULATED DATA.** This encoder was trained on a made-up planet. It shows that the "
    "software works and knows nothing about the Earth. Do not use it for science."
)

_SMP = "segmentation-models-pytorch"
"""The Hub's name of the one library that knows encoders which are no ResNets."""

_SENSORS: dict[Modality, str] = {"s1": "Sentinel-1", "s2": "Sentinel-2"}

_METRIC_NAMES = {
    "oa": "overall accuracy",
    "aa": "average accuracy",
    "miou": "mean IoU",
    "mf1": "mean F1",
}

_SCALINGS = {
    "clip2std": "clip to `mean - 2 std ... mean + 2 std`, then map that range to 0 ... 1",
    "clip2std_uint8": "clip to `mean - 2 std ... mean + 2 std`, map that range to 0 ... 255, cut "
    "down to whole numbers, divide by 255",
    "standard": "`(x - mean) / std`",
}

_CROMSS = (
    "Liu, C., Albrecht, C. M., Wang, Y., Zhu, X. X. 2025: CromSS: Cross-modal pre-training with "
    "noisy labels for remote sensing image segmentation. IEEE Transactions on Geoscience and "
    "Remote Sensing"
)


def model_card(
    run: TrainedRun, modality: Modality, weights: str, licence: str, scores: Path | None = None
) -> str:
    """The card of one encoder.

    Args:
        run: That trained it.
        modality: Whose encoder.
        weights: Path of the weights as the snippets print it.
        licence: Of the weights, as the Hub abbreviates licences.
        scores: ``scores.parquet`` of an evaluation, if there is one.

    Returns:
        YAML header and Markdown; read back by `huggingface_hub.ModelCard` before it is returned.

    Raises:
        ValueError: The header is none that the Hub's own library accepts.
    """
    measured = run.scores(modality, scores)
    header = _header(run, modality, licence, measured)
    parts = [
        f"# {_title(run, modality)}",
        *([SIMULATED_WARNING] if run.encoders[modality].simulated else []),
        _summary(run, modality),
        _input(run, modality),
        loading_snippets(run.encoders[modality], weights),
        _training(run),
        _score_table(measured),
        _origins(run, licence),
    ]
    text = f"---\n{header.to_yaml()}\n---\n\n" + "\n\n".join(parts) + "\n"
    ModelCard(text)
    return text


def _header(
    run: TrainedRun, modality: Modality, licence: str, scores: Sequence[PublishedScore]
) -> ModelCardData:
    tags = ["earth-observation", "remote-sensing", "land-cover", _SENSORS[modality].lower()]
    results = [
        EvalResult(
            task_type="image-segmentation",
            dataset_type=score.dataset,
            dataset_name=f"{score.dataset} ({score.kind})",
            metric_type=score.metric,
            metric_name=_METRIC_NAMES[score.metric],
            metric_value=round(score.value, 4),
        )
        for score in scores
    ]
    return ModelCardData(
        license=licence,
        library_name="timm" if is_resnet(run.encoders[modality].encoder) else _SMP,
        pipeline_tag="image-feature-extraction",
        tags=[*tags, "cromss", *(["simulated"] if run.encoders[modality].simulated else [])],
        model_name=_title(run, modality) if results else None,
        eval_results=results or None,
    )


def _title(run: TrainedRun, modality: Modality) -> str:
    encoder = run.encoders[modality]
    mark = "SIMULATED " if encoder.simulated else ""
    return f"{mark}{encoder.encoder} for {_SENSORS[modality]}, run {run.name}"


def _summary(run: TrainedRun, modality: Modality) -> str:
    encoder, recipe = run.encoders[modality], run.record["recipe"]
    others = [_SENSORS[name] for name in run.encoders if name != modality]
    beside = f" beside a network for {' and '.join(others)}" if others else ""
    return (
        f"The encoder of a U-Net (`{encoder.encoder}`) that was trained on noisy land-cover labels "
        f"of {_SENSORS[modality]} images{beside}, in the manner of CromSS (model "
        f"`{recipe['model']}`). It turns an image into features; put a head of your own on it."
    )


def _input(run: TrainedRun, modality: Modality) -> str:
    contract, crop = run.encoders[modality].contract, run.record["recipe"]["crop"]
    rows = zip(contract.bands, contract.mean, contract.std, strict=True)
    table = [
        f"| {k} | {band} | {mean:.6g} | {std:.6g} |" for k, (band, mean, std) in enumerate(rows)
    ]
    return "\n".join(
        [
            "## Input",
            "",
            f"{len(contract.bands)} channels in this order, in {contract.unit}, at 10 m; trained "
            f"on crops of {crop} x {crop} pixels.",
            "",
            "| channel | band | mean | std |",
            "|---|---|---|---|",
            *table,
            "",
            f"Scaling (`{contract.scaling}`): {_scaling(contract)}.",
        ]
    )


def _scaling(contract: InputContract) -> str:
    return _SCALINGS.get(contract.scaling, f"as `{contract.scaling}` of the package")


def _training(run: TrainedRun) -> str:
    record, recipe = run.record, run.record["recipe"]
    simulated = "simulated; no observation" if record["simulated"] else "observed"
    facts = {
        "training data": f"dataset `{record['store_hash']}` ({simulated}), "
        f"{record['train_samples']:,} samples, four seasons each, Dynamic World labels",
        "validation": f"{record['validation_samples']:,} samples",
        "epochs": recipe["epochs"],
        "batch": f"{recipe['batch_size']} per device",
        "optimiser": f"Adam, learning rate {recipe['learning_rate']:g}",
        "sample selection": _selection(recipe["selection"]),
        "label smoothing": recipe["smoothing"]["kind"],
        "precision": record["settings"]["precision"],
        "seed": record["seed"],
        "recipe hash": f"`{run.recipe_hash}`",
        "code": f"noldo `{record['code_version']}`",
    }
    rows = [f"| {name} | {value} |" for name, value in facts.items()]
    return "\n".join(["## Training", "", "| what | value |", "|---|---|", *rows])


def _selection(selection: dict[str, object]) -> str:
    if not selection["enabled"]:
        return "none"
    return f"ratio {selection['ratio']} after {selection['ramp_epochs']} epochs of ramp"


def _score_table(scores: Sequence[PublishedScore]) -> str:
    if not scores:
        return "## Scores\n\nNone were recorded."
    rows = [
        f"| {score.dataset} | {score.kind} | {_METRIC_NAMES[score.metric]} | {score.value:.1%} |"
        for score in scores
    ]
    return "\n".join(
        ["## Scores", "", "| dataset | how | metric | value |", "|---|---|---|---|", *rows]
    )


def _origins(run: TrainedRun, licence: str) -> str:
    lines = [
        "## Licence and citation",
        "",
        f"Weights: `{licence}`. They were made from data under licences of their own:",
        "",
        *(f"- {line}" for line in run.licences),
        "",
        "Please cite the method and the data:",
        "",
        *(f"- {line}" for line in (_CROMSS, *run.citations)),
        "",
        f"Made with NoLDO {pipeline.__version__}.",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of ``python -m training.model_card``."""
    parser = argparse.ArgumentParser(prog="python -m training.model_card", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of a run")
    parser.add_argument("--scores", type=Path, help="scores.parquet of an evaluation")
    parser.add_argument("--licence", default=LICENCE, help="of the weights, e.g. mit or cc-by-4.0")
    options = parser.parse_args(arguments)
    run = read_run(options.run)
    for modality in run.encoders:
        weights = run.weights(modality)
        text = model_card(run, modality, str(weights), options.licence, options.scores)
        path = weights.with_suffix(".md")
        write_atomically(path, text.encode())
        print(f"card {path}")


if __name__ == "__main__":
    run_step(main)
