"""An encoder as a folder for the Hugging Face Hub: ``python -m training.hub_folder --run ...``.

One repository per modality: ``README.md`` (the model card), ``model.safetensors``, ``encoder.json``
(the contract of the input) and ``config.json``, from which
``timm.create_model("hf-hub:owner/name", pretrained=True)`` builds the encoder. Nothing is sent; the
command that would send it is printed.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import timm

from pipeline.atomic_file import write_atomically
from pipeline.errors import run_step
from pipeline.export.hub_limits import (
    HubFile,
    check_limits,
    check_repository,
    hub_file,
    listing,
    upload_command,
)
from training.cromss.fusion import Modality
from training.encoders.export import ExportedEncoder
from training.encoders.loading_snippets import is_resnet
from training.model_card import LICENCE, model_card
from training.run.trained_run import TrainedRun, read_run

WEIGHTS = "model.safetensors"
"""The name that the Hub's libraries look for."""


def encoder_documents(
    run: TrainedRun, modality: Modality, licence: str, scores: Path | None = None
) -> dict[str, bytes]:
    """The files of a repository, by name.

    Args:
        run: A finished run.
        modality: Whose encoder.
        licence: Of the weights.
        scores: ``scores.parquet`` of an evaluation, if there is one.
    """
    encoder = run.encoders[modality]
    documents = {
        "README.md": model_card(run, modality, WEIGHTS, licence, scores).encode(),
        WEIGHTS: run.weights(modality).read_bytes(),
        "encoder.json": _json(encoder.to_dict()),
    }
    if is_resnet(encoder.encoder):
        crop = int(run.record["recipe"]["crop"])
        documents["config.json"] = _json(timm_config(encoder, crop))
    return documents


def timm_config(encoder: ExportedEncoder, crop: int) -> dict[str, object]:
    """What timm reads from ``config.json``: architecture, channels, size.

    Mean 0 and spread 1 stand for an input that is scaled already, as the contract says.

    Args:
        encoder: A ResNet of ours.
        crop: Rows and columns it was trained on.
    """
    channels = len(encoder.contract.bands)
    known = timm.get_pretrained_cfg(encoder.encoder)
    return {
        "architecture": encoder.encoder,
        "num_classes": 0,
        "model_args": {"in_chans": channels},
        "pretrained_cfg": {
            "input_size": [channels, crop, crop],
            "fixed_input_size": False,
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "mean": [0.0] * channels,
            "std": [1.0] * channels,
            "num_classes": 0,
            "first_conv": known.first_conv if known else "conv1",
            "classifier": known.classifier if known else "fc",
        },
    }


def _json(document: object) -> bytes:
    return json.dumps(document, indent=2).encode() + b"\n"


def _write(folder: Path, documents: dict[str, bytes]) -> None:
    for name, content in documents.items():
        path = folder / name
        if not (path.exists() and path.read_bytes() == content):
            write_atomically(path, content)


def _as_files(run: TrainedRun, modality: Modality, documents: dict[str, bytes]) -> list[HubFile]:
    weights = hub_file(run.weights(modality), PurePosixPath(WEIGHTS))
    others = [
        HubFile(PurePosixPath(name), run.folder, len(content))
        for name, content in documents.items()
        if name != WEIGHTS
    ]
    return [weights, *others]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of ``python -m training.hub_folder``."""
    parser = argparse.ArgumentParser(prog="python -m training.hub_folder", description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of a run")
    parser.add_argument(
        "--output", type=Path, required=True, help="a folder per modality goes here"
    )
    parser.add_argument("--owner", default="owner", help="user or organisation on the Hub")
    parser.add_argument("--scores", type=Path, help="scores.parquet of an evaluation")
    parser.add_argument("--licence", default=LICENCE, help="of the weights, e.g. mit or cc-by-4.0")
    parser.add_argument("--dry-run", action="store_true", help="list only, make nothing")
    options = parser.parse_args(arguments)
    run = read_run(options.run)
    for modality in run.encoders:
        repository = check_repository(f"{options.owner}/{run.name}-{modality}")
        documents = encoder_documents(run, modality, options.licence, options.scores)
        files = _as_files(run, modality, documents)
        check_limits(files)
        folder = options.output / f"{run.name}-{modality}"
        if not options.dry_run:
            _write(folder, documents)
        print(f"{repository}\n{listing(files)}")
        print("nothing was sent; to upload (after `hf auth login`):")
        print(upload_command("model", repository, folder))


if __name__ == "__main__":
    run_step(main)
