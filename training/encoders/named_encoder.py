"""Any encoder by name or path, with the contract of its input.

Names are those of ``encoders.csv``; a path leads to an encoder that one of our runs exported, to
the folder of such a run, or to a released CromSS checkpoint.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import segmentation_models_pytorch as smp
from segmentation_models_pytorch.encoders._base import EncoderMixin
from torch import nn

from pipeline.errors import PipelineError
from pipeline.settings.encoders import WeightSettings
from pipeline.settings.evaluate import names_a_file
from training.cromss.fusion import Modality
from training.encoders.export import read_encoder
from training.encoders.published_weights import load_exactly, read_weights, weight_file
from training.encoders.table import STORE_STATISTICS, EncoderEntry, find_entry
from training.encoders.vit_pyramid import build_vit
from training.encoders.weight_files import read_checkpoint
from training.loading.inputs import InputContract, band_names

Statistics = Mapping[str, Mapping[str, float]]

RANDOM = "random"
IMAGENET = "imagenet"
_RGB = 3
_DEFAULT_BACKBONE = "resnet50"


def load_encoder(
    name_or_path: str,
    modality: Modality,
    bands: int | tuple[str, ...] | None = None,
    *,
    settings: WeightSettings | None = None,
    statistics: Statistics | None = None,
    backbone: str = _DEFAULT_BACKBONE,
) -> tuple[nn.Module, InputContract]:
    """Load an encoder and say what to feed it.

    Args:
        name_or_path: A name of ``encoders.csv``, the path of an exported encoder
            (``.safetensors``), of a run's folder, or of a released CromSS checkpoint.
        modality: "s1" or "s2".
        bands: How many bands, or which; left out: those it was made for. Only random and ImageNet
            weights leave a choice.
        settings: Where weights lie and which licences are accepted.
        statistics: "mean" and "std" of each band of the store that it is tried on; encoders
            without a scaling of their own need them (random, ImageNet).
        backbone: An smp encoder; random weights only, all others know theirs.

    Returns:
        The encoder, a pyramid of five stages that `training.downstream.heads.build_segmenter`
        takes, on the CPU in training mode, and the contract of its input. Random
        weights are drawn from torch's global generator.

    Raises:
        PipelineError: There is no such encoder for these bands, its licence was not accepted, or
            its file is missing, damaged, foreign, or asks to run code.
    """
    if names_a_file(name_or_path):
        return _from_path(Path(name_or_path), modality, bands)
    entry = find_entry(name_or_path, modality)
    chosen = _chosen_bands(entry, bands)
    if entry.name != RANDOM and backbone != _DEFAULT_BACKBONE:
        raise PipelineError(
            f"weights {entry.name} are of a {entry.kind}, not {backbone}; "
            "only random weights leave the backbone open"
        )
    contract = entry.contract(chosen, statistics)
    if entry.name == RANDOM:
        return _resnet(backbone, len(chosen)), contract
    path = weight_file(entry, settings or WeightSettings())
    return _published(entry, path, len(chosen)), contract


def _published(entry: EncoderEntry, path: Path, channels: int) -> nn.Module:
    """The encoder of an entry with the weights of a file."""
    weights = read_weights(entry, path)
    if entry.name.startswith(IMAGENET):
        encoder = _resnet(entry.kind, _RGB)
        load_exactly(encoder, weights, str(path))
        cast(EncoderMixin, encoder).set_in_channels(channels, pretrained=True)
        return encoder
    encoder = _resnet(entry.kind, channels) if entry.kind == "resnet50" else build_vit(entry)
    load_exactly(encoder, weights, str(path))
    return encoder


def _from_path(
    path: Path, modality: Modality, bands: int | tuple[str, ...] | None
) -> tuple[nn.Module, InputContract]:
    if path.is_dir():
        path = path / "encoders" / f"{modality}.safetensors"
    if path.suffix != ".safetensors":
        return _from_checkpoint(path, modality, bands)
    weights, description = read_encoder(path)
    contract = description.contract
    if contract.modality != modality:
        raise PipelineError(f"{path} is an encoder of {contract.modality}, not of {modality}")
    _require_bands(str(path), contract.bands, bands)
    encoder = _resnet(description.encoder, len(contract.bands))
    load_exactly(encoder, weights, str(path))
    return encoder, contract


def _from_checkpoint(
    path: Path, modality: Modality, bands: int | tuple[str, ...] | None
) -> tuple[nn.Module, InputContract]:
    """A released checkpoint; ours do not hold the scaling of their input."""
    checkpoint = read_checkpoint(path)
    if not checkpoint.released:
        raise PipelineError(
            f"{path} does not say how its input was scaled; "
            f"give encoders/{modality}.safetensors of the same run, which does"
        )
    weights = checkpoint.encoder_weights(modality)
    names = band_names(modality, checkpoint.channels[modality])
    _require_bands(str(path), names, bands)
    s2_bands = checkpoint.channels.get("s2", len(names))
    entry = find_entry(f"cromss_{checkpoint.layout}_{s2_bands}", modality)
    encoder = _resnet(entry.kind, len(names))
    load_exactly(encoder, weights, str(path))
    return encoder, entry.contract(names, None)


def _chosen_bands(entry: EncoderEntry, bands: int | tuple[str, ...] | None) -> tuple[str, ...]:
    if entry.inputs != STORE_STATISTICS:
        _require_bands(entry.name, entry.bands, bands)
        return entry.bands
    if bands is None:
        return entry.bands
    if isinstance(bands, tuple):
        return bands
    names = band_names(entry.modality, bands)
    _require_bands(entry.name, names, bands)
    return names


def _require_bands(
    origin: str, taken: tuple[str, ...], wanted: int | tuple[str, ...] | None
) -> None:
    if wanted is None or wanted == taken or wanted == len(taken):
        return
    asked = wanted if isinstance(wanted, int) else " ".join(wanted)
    raise PipelineError(
        f"{origin} takes {len(taken)} bands ({' '.join(taken)}), not {asked}; "
        "leave bands out to feed it what it was trained on"
    )


def _resnet(backbone: str, channels: int) -> nn.Module:
    """A randomly initialised convolutional encoder of five stages."""
    try:
        encoder: nn.Module = smp.encoders.get_encoder(
            backbone, in_channels=channels, depth=5, weights=None
        )
    except (KeyError, RuntimeError, ValueError):  # the library's, and timm's for "tu-" names
        raise PipelineError(
            f"segmentation_models_pytorch has no encoder {backbone!r} of five stages; "
            "choose one such as resnet50"
        ) from None
    return encoder
