"""Makes files of the layouts that others publish, without their numbers.

Each tensor is one small constant, stored once and stretched over its shape, so that a file of three
hundred million numbers has a few hundred kilobytes, and every tensor can still be told from the
others after loading.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models import resnet50

from pipeline.sensors import cube_bands
from pipeline.settings.encoders import WeightSettings
from training.cromss.fusion import CrossModalUnet
from training.encoders.named_encoder import load_encoder
from training.encoders.table import EncoderEntry
from training.encoders.vit_pyramid import VIT_LARGE, VitShape, build_vit
from training.loading.inputs import InputContract

_DECODER = {
    "mask_token": (1, 1, 512),
    "norm.weight": (1024,),
    "norm.bias": (1024,),
    "decoder_embed.weight": (512, 1024),
    "decoder_pos_embed": (1, 145, 384),
    "decoder_channel_embed": (1, 4, 128),
    "decoder_blocks.0.attn.qkv.weight": (1536, 512),
    "decoder_norm.weight": (512,),
    "decoder_pred.0.weight": (256, 512),
}
_CLASSIFIER = {"fc.weight": (1000, 2048), "fc.bias": (1000,)}
_SCALEMAE = {"pos_embed": (1, 197, 1024), "norm.weight": (1024,), "norm.bias": (1024,)}
_DOFA = {
    "mask_token": (1, 1, 512),
    "norm.weight": (1024,),
    "norm.bias": (1024,),
    "projector.weight": (768, 1024),
    "projector.bias": (768,),
}

PUBLISHED_EXTRAS: dict[str, dict[str, tuple[int, ...]]] = {
    "torchvision": _CLASSIFIER,
    "cromss_mid": {},
    "cromss_late": {},
    "scalemae": _SCALEMAE,
    "satmae": _DECODER,
    "satmae_pp": _DECODER
    | {
        "proj_up_conv.weight": (40, 10, 1, 1),
        "proj_up_norm.weight": (40,),
        "up_block1.up_conv.weight": (40, 40, 4, 4),
        "up_block2.proj_out.bias": (10,),
    },
    "dofa": _DOFA,
}
"""Names beside the encoder, after the sources in `published_weights.KEY_LAYOUTS`."""


STATISTICS = {
    band.name: {"mean": 1500.0, "std": 500.0}
    if band.sensor == "sentinel-2"
    else {"mean": -14.0, "std": 4.0}
    for sensor in ("sentinel-1", "sentinel-2")
    for band in cube_bands(sensor)
}
"""Of a store, for encoders without a scaling of their own."""


def identify(entry: EncoderEntry) -> str:
    return f"{entry.name}-{entry.modality}"


def settings_for(entry: EncoderEntry, path: Path) -> WeightSettings:
    """A local file, and consent to its licence."""
    return WeightSettings(accept_noncommercial=True, files={entry.name: path})


def load(entry: EncoderEntry, path: Path) -> tuple[nn.Module, InputContract]:
    """An encoder of the table from a local file."""
    return load_encoder(
        entry.name, entry.modality, settings=settings_for(entry, path), statistics=STATISTICS
    )


def constants(entry: EncoderEntry) -> dict[str, float]:
    """The number that stands in each tensor of the encoder of an entry."""
    names = _encoder_shapes(entry)
    return {name: _constant(name, place) for place, name in enumerate(sorted(names))}


def published_file(
    entry: EncoderEntry, folder: Path, extra: Mapping[str, Tensor] | None = None
) -> Path:
    """A file of an entry's full layout and size."""
    numbers = constants(entry)
    tensors = {
        name: _stretched(numbers[name], shape, name)
        for name, shape in _encoder_shapes(entry).items()
    }
    return _write(entry, folder, tensors | dict(extra or {}))


def tiny_vit_file(
    entry: EncoderEntry, folder: Path, shape: VitShape
) -> tuple[Path, dict[str, Tensor]]:
    """A file of an entry's layout around a small transformer, and the weights of that."""
    weights = build_vit(entry, shape).state_dict()
    return _write(entry, folder, weights), weights


def _write(entry: EncoderEntry, folder: Path, tensors: dict[str, Tensor]) -> Path:
    path = folder / f"{entry.name}.pth"
    if entry.keys in ("cromss_mid", "cromss_late"):
        content = _lightning_checkpoint(entry, tensors)
    else:
        content = tensors | {
            name: torch.zeros(1).expand(shape)
            for name, shape in PUBLISHED_EXTRAS[entry.keys].items()
        }
        if entry.keys in ("satmae", "satmae_pp"):
            content = {"model": content, "epoch": 199, "args": argparse.Namespace(mask_ratio=0.75)}
    torch.save(content, path)
    return path


def _lightning_checkpoint(entry: EncoderEntry, encoder: dict[str, Tensor]) -> dict[str, object]:
    """The released layout: `training.encoders.weight_files` has the table of its names."""
    late = entry.keys == "cromss_late"
    ours = {"s1": "model1.encoder." if late else "encoder1.", "s2": "model2.encoder."}
    if not late:
        ours["s2"] = "encoder."
    bands = 9 if entry.name.endswith("_9") else 13
    with torch.device("meta"):
        network = CrossModalUnet("late" if late else "mid", "resnet50", 2, bands, 9)
    state = {}
    for name, tensor in network.state_dict().items():
        state[_released_name(name, late)] = torch.zeros((), dtype=tensor.dtype).expand(tensor.shape)
    state |= {ours[entry.modality] + name: tensor for name, tensor in encoder.items()}
    return {
        "state_dict": {f"net.{name}": tensor for name, tensor in state.items()},
        "hyper_parameters": {"args": argparse.Namespace(lr=0.005)},
        "epoch": 199,
    }


def _released_name(name: str, late: bool) -> str:
    part, owner, rest = name.split(".", 2)
    kind = {"encoders": "encoder", "decoders": "decoder", "heads": "segmentation_head"}[part]
    if late:
        return f"model{owner[-1]}.{kind}.{rest}"
    return f"{'encoder1' if (kind, owner) == ('encoder', 's1') else kind}.{rest}"


def _encoder_shapes(entry: EncoderEntry) -> dict[str, torch.Size]:
    with torch.device("meta"):
        if entry.kind != "resnet50":
            return _shapes(build_vit(entry, VIT_LARGE))
        network = resnet50()
        channels = 3 if entry.name.startswith("imagenet") else len(entry.bands)
        network.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        del network.fc
    return _shapes(network)


def _shapes(network: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in network.state_dict().items()}


def _constant(name: str, place: int) -> float:
    """Small enough to leave activations finite, positive for variances, whole for counters."""
    return float(place) if name.endswith("num_batches_tracked") else (place + 1) * 2.0**-14


def _stretched(number: float, shape: torch.Size, name: str) -> Tensor:
    dtype = torch.int64 if name.endswith("num_batches_tracked") else torch.float32
    return torch.tensor(number, dtype=dtype).expand(shape)
