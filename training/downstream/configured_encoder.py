"""The encoder that an entry of ``evaluate.encoders`` names, with the contract of its input."""

from pathlib import Path

from torch import nn

from pipeline.fingerprints import file_sha256
from pipeline.settings.encoders import WeightSettings
from pipeline.settings.evaluate import EncoderSettings, names_a_file
from pipeline.settings.tree import Settings
from pipeline.store.object_path import StorePath
from training.downstream.task_tiles import valid_tiles
from training.downstream.tile_statistics import tile_statistics
from training.encoders.export import read_encoder
from training.encoders.named_encoder import RANDOM, load_encoder
from training.encoders.published_weights import weight_file
from training.encoders.table import STORE_STATISTICS, encoder_table, find_entry
from training.loading.inputs import InputContract


def weights_of(settings: Settings, encoder: EncoderSettings) -> str:
    """Name or path of an encoder's weights; those of a run lie in the run's folder."""
    if encoder.run is None:
        return encoder.file or encoder.weights
    folder = settings.folder / "runs" / encoder.run / "encoders"
    return (folder / f"{encoder.modality}.safetensors").as_posix()


def open_encoder(
    weights: str, encoder: EncoderSettings, settings: WeightSettings, store: StorePath, group: str
) -> tuple[nn.Module, InputContract]:
    """Load an encoder for a task.

    Args:
        weights: Name in the table of encoders, or path of a file.
        encoder: Modality, bands and backbone.
        settings: Where weights lie, and which licences are accepted.
        store: Of the task; its statistics scale the input of encoders without a scaling of their
            own.
        group: Of the store, to train on.

    Raises:
        PipelineError: The weights cannot be had, or are not for this modality or these bands.
    """
    statistics = None
    if _scaled_by_store(weights):
        tiles = valid_tiles(store, group)
        statistics = tile_statistics(store, group, encoder.modality, tiles)
    return load_encoder(
        weights,
        encoder.modality,
        encoder.bands if encoder.modality == "s2" else None,
        settings=settings,
        statistics=statistics,
        backbone=encoder.backbone,
    )


def encoder_name(weights: str, encoder: EncoderSettings) -> str:
    """What it takes to build the encoder without its weights.

    Returns:
        Name of an encoder of segmentation_models_pytorch, or the kind of a vision transformer.
    """
    if weights.endswith(".safetensors"):
        return read_encoder(Path(weights))[1].encoder
    if weights == RANDOM:
        return encoder.backbone
    known = {entry.name: entry.kind for entry in encoder_table()}
    return known.get(weights, "resnet50")


def weights_sha256(weights: str, encoder: EncoderSettings, settings: WeightSettings) -> str:
    """SHA-256 of the file that the weights are read from, hexadecimal; empty for random ones.

    Raises:
        PipelineError: The file cannot be had.
    """
    if names_a_file(weights):
        return file_sha256(Path(weights))
    entry = find_entry(weights, encoder.modality)
    return file_sha256(weight_file(entry, settings)) if entry.url else ""


def _scaled_by_store(weights: str) -> bool:
    return any(
        entry.name == weights and entry.inputs == STORE_STATISTICS for entry in encoder_table()
    )
