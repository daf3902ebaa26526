"""Weights from files: the four released CromSS layouts and our own, read without running code.

A Lightning checkpoint keeps the network under ``state_dict`` with the prefix ``net.``. The layouts
differ in the names beneath it:

=================  ==================================  ==================================
layout             Sentinel-1                          Sentinel-2
=================  ==================================  ==================================
released, mid      encoder1, decoder,                  encoder, decoder,
                   segmentation_head                   segmentation_head
released, late     model1.{encoder, decoder,           model2.{encoder, decoder,
                   segmentation_head}                  segmentation_head}
ours               encoders.s1, decoders.*, heads.*    encoders.s2, decoders.*, heads.*
=================  ==================================  ==================================

Each of the two released layouts exists for 13 and for 9 Sentinel-2 bands, which makes four.
"""

import argparse
import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pipeline.errors import PipelineError
from training.cromss.fusion import CrossModalUnet, Modality, SingleModalUnet

Layout = Literal["mid", "late", "single"]

_PREFIX = "net."

_RELEASED_MID = {
    "encoder1.": "encoders.s1.",
    "encoder.": "encoders.s2.",
    "decoder.": "decoders.shared.",
    "segmentation_head.": "heads.shared.",
}
_RELEASED_LATE = {
    f"model{number}.{part}.": f"{ours}.{modality}."
    for number, modality in ((1, "s1"), (2, "s2"))
    for part, ours in (
        ("encoder", "encoders"),
        ("decoder", "decoders"),
        ("segmentation_head", "heads"),
    )
}
_OWN_KEY = re.compile(r"(encoders|decoders|heads)\.(s1|s2|shared)\.")

# What torch.load and its restricted unpickler were seen to raise on damaged or foreign files.
_UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    AssertionError,
    OverflowError,
    MemoryError,
)


@dataclass(frozen=True)
class Checkpoint:
    """Weights of a network, by the names of `training.cromss.fusion`.

    Attributes:
        path: Where they came from.
        layout: "mid", "late" or "single".
        channels: Bands of each modality, by "s1" and "s2".
        num_classes: Channels of the logits.
        weights: State of the whole network.
        released: Whether the file has a layout of the released code, not ours.
    """

    path: Path
    layout: Layout
    channels: dict[Modality, int]
    num_classes: int
    weights: dict[str, Tensor]
    released: bool

    def encoder_weights(self, modality: Modality, channels: int | None = None) -> dict[str, Tensor]:
        """State of one bare smp encoder.

        Args:
            modality: "s1" or "s2".
            channels: Bands that the encoder must take; any if left out.

        Raises:
            PipelineError: The checkpoint has no such modality, or other bands.
        """
        if modality not in self.channels:
            held = " and ".join(self.channels)
            raise PipelineError(f"{self.path} has no {modality} encoder; it holds {held}")
        found = self.channels[modality]
        if channels is not None and found != channels:
            raise PipelineError(
                f"{self.path} takes {found} bands of {modality}, {channels} were asked for; "
                "choose that number of bands or another checkpoint"
            )
        prefix = f"encoders.{modality}."
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.weights.items()
            if name.startswith(prefix)
        }

    def load_into(self, network: nn.Module) -> None:
        """Give these weights to a network of the same layout, bands and encoder.

        Raises:
            PipelineError: Names or shapes differ; nothing is loaded then.
        """
        wanted = network.state_dict()
        differing = sorted(wanted.keys() ^ self.weights.keys())
        if differing:
            raise PipelineError(
                f"{self.path} ({self.layout} layout) holds another network: {len(differing)} "
                f"names differ, the first is {differing[0]}; choose its fusion and encoder"
            )
        for name, tensor in wanted.items():
            if tensor.shape != self.weights[name].shape:
                raise PipelineError(
                    f"{self.path}: {name} is {_shape(self.weights[name])}, the network takes "
                    f"{_shape(tensor)}; choose the bands, classes and encoder of the checkpoint"
                )
        network.load_state_dict(self.weights)

    def network(self, encoder: str = "resnet50") -> CrossModalUnet | SingleModalUnet:
        """A network of this layout with these weights.

        Raises:
            PipelineError: The weights are of another encoder.
        """
        network: CrossModalUnet | SingleModalUnet
        if self.layout == "single":
            ((modality, channels),) = self.channels.items()
            network = SingleModalUnet(modality, encoder, channels, self.num_classes)
        else:
            network = CrossModalUnet(
                self.layout, encoder, self.channels["s1"], self.channels["s2"], self.num_classes
            )
        self.load_into(network)
        return network


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a released CromSS checkpoint or one of ours, onto the CPU.

    Only tensors, plain containers and `argparse.Namespace` (which released files hold beside the
    weights) are read from the file; anything else in it is refused before it can run.

    Raises:
        PipelineError: The file is missing, damaged, holds code, or is of no known layout.
    """
    state = _network_state(path, load_safely(path))
    weights = _known_names(path, state)
    modalities: tuple[Modality, ...] = ("s1", "s2")
    channels = {
        modality: _input_bands(weights, modality)
        for modality in modalities
        if any(name.startswith(f"encoders.{modality}.") for name in weights)
    }
    heads = [tensor for name, tensor in weights.items() if re.match(r"heads\.\w+\.0\.bias", name)]
    if not heads or not all(channels.values()):
        missing = "head" if not heads else "first convolution"
        raise PipelineError(f"{path} holds no whole network: its {missing} is missing")
    return Checkpoint(
        path=path,
        layout=_layout(weights, channels),
        channels=channels,
        num_classes=heads[0].shape[0],
        weights=weights,
        released=weights is not state,
    )


def load_safely(path: Path) -> Any:
    """Read a file of tensors with torch's restricted unpickler, onto the CPU.

    Raises:
        PipelineError: The file is missing, damaged, or holds anything that could run.
    """
    if not path.is_file():
        raise PipelineError(f"checkpoint {path} does not exist")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        foreign = re.search(r"GLOBAL ([\w.]+)", str(error))
        if isinstance(error, pickle.UnpicklingError) and foreign:
            raise PipelineError(
                f"checkpoint {path} asks to run {foreign[1]}, which is not part of any weights; "
                "nothing was run; get the file from a source you trust"
            ) from None
        raise PipelineError(
            f"checkpoint {path} is damaged or no checkpoint ({type(error).__name__}); "
            "get it again from its source"
        ) from None


def _network_state(path: Path, content: Any) -> dict[str, Tensor]:
    """Tensors of the network, without the prefix."""
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise PipelineError(f"checkpoint {path} holds no state_dict of a network")
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    inside = {name: tensor for name, tensor in tensors.items() if str(name).startswith(_PREFIX)}
    return {str(name).removeprefix(_PREFIX): tensor for name, tensor in (inside or tensors).items()}


def _known_names(path: Path, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under our names."""
    if state and all(_OWN_KEY.match(name) for name in state):
        return state
    for names in (_RELEASED_MID, _RELEASED_LATE):
        prefixes = {_prefix_of(name, names) for name in state}
        if prefixes == set(names):
            return {_renamed(name, names): tensor for name, tensor in state.items()}
    example = next(iter(state), "nothing")
    raise PipelineError(
        f"checkpoint {path} has no known layout (it begins with {example}); known are the "
        "released mid and late fusion, and runs of this project"
    )


def _prefix_of(name: str, names: dict[str, str]) -> str | None:
    return next((prefix for prefix in names if name.startswith(prefix)), None)


def _renamed(name: str, names: dict[str, str]) -> str:
    prefix = _prefix_of(name, names) or ""
    return names[prefix] + name.removeprefix(prefix)


def _input_bands(weights: dict[str, Tensor], modality: Modality) -> int:
    """Input channels of the first convolution, the first four-dimensional weight of an encoder."""
    prefix = f"encoders.{modality}."
    shapes = (tensor.shape for name, tensor in weights.items() if name.startswith(prefix))
    return next((shape[1] for shape in shapes if len(shape) == 4), 0)


def _layout(weights: dict[str, Tensor], channels: dict[Modality, int]) -> Layout:
    if len(channels) == 1:
        return "single"
    return "mid" if any(name.startswith("decoders.shared.") for name in weights) else "late"


def _shape(tensor: Tensor) -> str:
    return "x".join(str(length) for length in tensor.shape) or "a number"
