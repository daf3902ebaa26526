"""A trained segmentation network in one file: weights, and what is needed to use them.

A safetensors file with a JSON description in its metadata; nothing in it can run code.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import segmentation_models_pytorch as smp
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError
from pipeline.settings.evaluate import Head
from training.downstream.heads import Segmenter, build_segmenter
from training.encoders.table import TransformerKind, find_entry
from training.encoders.vit_pyramid import build_vit
from training.loading.inputs import InputContract

FORMAT = "noldo-segmenter-1"


@dataclass(frozen=True)
class NetworkDescription:
    """What stands beside the weights.

    Attributes:
        encoder: Name in segmentation_models_pytorch, or kind of a vision transformer.
        weights: Name or path of what the encoder started from.
        contract: Input of the encoder.
        head: Network on top of it.
        encoder_depth: Stages asked for; None left it to the head.
        classes: Names by id.
        colors: ``#RRGGBB`` by id.
        evaluation: The evaluation that trained it.
        simulated: Whether it was trained on simulated data.
    """

    encoder: str
    weights: str
    contract: InputContract
    head: Head
    encoder_depth: int | None
    classes: tuple[str, ...]
    colors: tuple[str, ...]
    evaluation: dict[str, Any]
    simulated: bool

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "NetworkDescription":
        """From the values that `to_dict` gave."""
        return cls(
            **values
            | {
                "contract": InputContract.from_dict(values["contract"]),
                "classes": tuple(values["classes"]),
                "colors": tuple(values["colors"]),
            }
        )


def write_network(path: Path, network: nn.Module, description: NetworkDescription) -> None:
    """Write a network, whole or not at all."""
    weights = {
        name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()
    }
    metadata = {"format": FORMAT, "description": json.dumps(description.to_dict())}
    write_atomically(path, save(weights, metadata=metadata))


def read_network(path: Path) -> tuple[Segmenter, NetworkDescription]:
    """Read a network that `write_network` wrote, in evaluation mode on the CPU.

    Raises:
        PipelineError: The file is missing, damaged, or no network of ours.
    """
    weights, description = read_network_weights(path)
    network = build_segmenter(
        description.head,
        _empty_encoder(description),
        len(description.classes),
        description.encoder_depth,
    )
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).split("\n")[-1].strip()
        raise PipelineError(f"{path} does not fit its own description: {first}") from None
    return network.eval(), description


def read_network_weights(path: Path) -> tuple[dict[str, Tensor], NetworkDescription]:
    """Weights by name and description, without building the network.

    Raises:
        PipelineError: The file is missing, damaged, or no network of ours.
    """
    if not path.is_file():
        raise PipelineError(
            f"there is no trained network {path}; evaluate with its seed in evaluate.kept_seeds"
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise PipelineError(f"{path} is damaged ({error}); evaluate again") from None
    if metadata.get("format") != FORMAT:
        raise PipelineError(
            f"{path} holds no trained network of ours (format {metadata.get('format')!r}, "
            f"expected {FORMAT!r}); choose a file from results/<name>/scores"
        )
    return weights, NetworkDescription.from_dict(json.loads(metadata["description"]))


def _empty_encoder(description: NetworkDescription) -> nn.Module:
    contract = description.contract
    if description.encoder in get_args(TransformerKind):
        return build_vit(find_entry(description.weights, contract.modality))
    encoder: nn.Module = smp.encoders.get_encoder(
        description.encoder, in_channels=len(contract.bands), depth=5, weights=None
    )
    return encoder
