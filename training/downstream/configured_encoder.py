"""The encoder that an entry of ``evaluate.encoders`` names, with the contract of its input."""

from pathlib import Path

from torch import nn

from pipeline.settings.encoders import WeightSettings
from pipeline.settings.evaluate import EncoderSettings
from pipeline.settings.tree import Settings
from pipeline.store.object_path import StorePath
from training.downstream.task_tiles import valid_tiles
from training.downstream.tile_statistics import tile_statistics
from training.encoders.export import read_encoder
from training.encoders.named_encoder import RANDOM, load_encoder
from training.encoders.table import STORE_STATISTICS, encoder_table
from training.loading.inputs import InputContract


def weights_of(settings: Settings, encoder: EncoderSettings) -> str:
    """Name or path of an encoder's weights; those of a run lie in the run's folder."""
    if encoder.run is None:
        return encoder.weights
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
    if Path(weights).is_dir():
        return read_encoder(Path(weights) / "encoders" / f"{encoder.modality}.safetensors")[
            1
        ].encoder
    if weights == RANDOM:
        return encoder.backbone
    known = {entry.name: entry.kind for entry in encoder_table()}
    return known.get(weights, "resnet50")


def _scaled_by_store(weights: str) -> bool:
    return any(
        entry.name == weights and entry.inputs == STORE_STATISTICS for entry in encoder_table()
    )
