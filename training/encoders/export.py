"""The result of a run: its encoders as safetensors, each with the contract of its input.

The file holds the state of a bare encoder of segmentation_models_pytorch, whose ResNets name their
weights as timm and torchgeo do; its metadata and the JSON file beside it say what to feed it.
Nothing in it can run code.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError
from training.cromss.fusion import Modality
from training.loading.inputs import InputContract

FORMAT = "noldo-encoder-1"


@dataclass(frozen=True)
class ExportedEncoder:
    """What is written beside the weights.

    Attributes:
        encoder: Name in segmentation_models_pytorch, e.g. "resnet50".
        contract: Input of the encoder.
        run: Name of the run.
        epoch: That the weights are of, from 0.
        code_version: Of this package.
        store_hash: Of the dataset trained on.
        simulated: Whether that dataset was simulated.
    """

    encoder: str
    contract: InputContract
    run: str
    epoch: int
    code_version: str
    store_hash: str
    simulated: bool

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {"format": FORMAT} | asdict(self)


def export_encoder(path: Path, encoder: nn.Module, description: ExportedEncoder) -> None:
    """Write an encoder and, beside it, its description as JSON.

    Args:
        path: Of the file, ending in ``.safetensors``.
        encoder: A bare smp encoder.
        description: Becomes metadata of the file as well.
    """
    values = description.to_dict()
    weights = {
        name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()
    }
    metadata = {"format": FORMAT, "description": json.dumps(values)}
    write_atomically(path, save(weights, metadata=metadata))
    write_atomically(path.with_suffix(".json"), json.dumps(values, indent=2).encode() + b"\n")


def read_encoder(path: Path) -> tuple[dict[str, Tensor], ExportedEncoder]:
    """Read weights and description that `export_encoder` wrote.

    Raises:
        PipelineError: The file is missing, damaged, or was not exported by us.
    """
    description = read_description(path)
    with safe_open(path, framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return weights, description


def read_description(path: Path) -> ExportedEncoder:
    """Read what an exported encoder says about itself, without its weights.

    Raises:
        PipelineError: The file is missing, damaged, or was not exported by us.
    """
    if not path.is_file():
        raise PipelineError(f"encoder {path} does not exist; train it or choose another")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise PipelineError(f"encoder {path} is damaged ({error}); export it again") from None
    if metadata.get("format") != FORMAT:
        raise PipelineError(
            f"{path} holds no encoder of ours (format {metadata.get('format')!r}, "
            f"expected {FORMAT!r}); choose a file from results/<name>/runs"
        )
    return _description(json.loads(metadata["description"]))


def export_encoders(
    folder: Path, network: nn.Module, descriptions: dict[Modality, ExportedEncoder]
) -> list[Path]:
    """Write one file per modality: ``s1.safetensors``, ``s2.safetensors``."""
    paths = []
    for modality, description in descriptions.items():
        path = folder / f"{modality}.safetensors"
        with torch.no_grad():
            export_encoder(path, network.get_submodule(f"encoders.{modality}"), description)
        paths.append(path)
    return paths


def _description(values: dict[str, Any]) -> ExportedEncoder:
    return ExportedEncoder(
        encoder=values["encoder"],
        contract=InputContract.from_dict(values["contract"]),
        run=values["run"],
        epoch=values["epoch"],
        code_version=values["code_version"],
        store_hash=values["store_hash"],
        simulated=values["simulated"],
    )
