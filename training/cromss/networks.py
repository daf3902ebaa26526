"""The network of a run, whichever modalities it has, behind one call."""

from typing import cast

from torch import Tensor

from pipeline.errors import PipelineError
from pipeline.settings.pretrain import PretrainRun
from training.cromss.fusion import CrossModalUnet, Fusion, Modality, SingleModalUnet
from training.loading.inputs import band_names
from training.loading.samples import NUM_CLASSES

Network = CrossModalUnet | SingleModalUnet


def build_network(run: PretrainRun) -> Network:
    """The randomly initialised network of a run.

    Raises:
        PipelineError: There is no such encoder.
    """
    try:
        return _build(run)
    except (KeyError, RuntimeError, ValueError) as error:
        reason = str(error).strip("\"'").splitlines()[0]
        raise PipelineError(
            f"no network can be built on the encoder {run.encoder!r} ({reason[:100]}); choose "
            "another of segmentation_models_pytorch, such as resnet50"
        ) from None


def _build(run: PretrainRun) -> Network:
    channels = {name: len(band_names(name, run.bands)) for name in run.modalities}
    if len(run.modalities) == 1:
        (modality,) = run.modalities
        return SingleModalUnet(modality, run.encoder, channels[modality], NUM_CLASSES)
    fusion = cast(Fusion, run.model)
    return CrossModalUnet(fusion, run.encoder, channels["s1"], channels["s2"], NUM_CLASSES)


def logits_by_modality(network: Network, images: dict[Modality, Tensor]) -> dict[Modality, Tensor]:
    """Logits of every modality of the network, each (B, classes, H, W)."""
    if isinstance(network, SingleModalUnet):
        return {network.modality: network(images[network.modality])}
    logits_s1_BCHW, logits_s2_BCHW = network(images["s1"], images["s2"])
    return {"s1": logits_s1_BCHW, "s2": logits_s2_BCHW}
