"""Weights that others published: fetched once, read without running code, renamed, checked.

A file is used only if every name in it is either a name of the network or an expected leftover,
such as the classifier or the decoder of its pretraining.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from filelock import FileLock
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from pipeline.download import download
from pipeline.errors import PipelineError
from pipeline.settings.encoders import WeightSettings
from training.encoders.table import EncoderEntry, KeyMap, encoder_table
from training.encoders.weight_files import load_safely, read_checkpoint

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeyLayout:
    """How a published file is laid out.

    Attributes:
        container: Entry of the file that holds the tensors, if they are not at the top.
        leftovers: Pattern of the names that the encoder has no use for.
        source: Where the layout is defined.
    """

    container: str | None
    leftovers: str
    source: str


KEY_LAYOUTS: dict[KeyMap, KeyLayout] = {
    "torchvision": KeyLayout(
        None,
        r"fc\..+",
        "https://github.com/pytorch/vision/blob/main/torchvision/models/resnet.py",
    ),
    "scalemae": KeyLayout(
        "model",
        r"pos_embed|norm\..+|fc_norm\..+|head\..+|(decoder|mask_token|fpn|fcn|pos_emb_proj).*",
        "https://github.com/bair-climate-initiative/scale-mae/blob/main/scalemae/models_mae.py",
    ),
    "satmae": KeyLayout(
        "model",
        r"norm\..+|mask_token|decoder_.+",
        "https://github.com/sustainlab-group/SatMAE/blob/main/models_mae_group_channels.py",
    ),
    "satmae_pp": KeyLayout(
        "model",
        r"norm\..+|mask_token|decoder_.+|proj_up_(conv|norm)\..+|up_block[12]\..+",
        "https://github.com/techmn/satmae_pp/blob/main/models_mae_group_channels.py",
    ),
    "dofa": KeyLayout(
        None,
        r"norm\..+|fc_norm\..+|head\..+|mask_token|projector\..+",
        "https://github.com/zhu-xlab/DOFA (missing and unexpected keys in demo.ipynb)",
    ),
}


def weight_file(entry: EncoderEntry, settings: WeightSettings, pause_s: float = 1.0) -> Path:
    """The file with the weights of an encoder, downloaded if need be.

    Args:
        entry: Which encoder.
        settings: Where weights lie and which licences are accepted.
        pause_s: Scale of the pause between attempts to download, seconds.

    Raises:
        PipelineError: The licence was not accepted, a local file does not exist or is of no known
            encoder, or the download failed.
    """
    _log.info("%s for %s: licence %s", entry.name, entry.modality, entry.licence)
    if entry.noncommercial and not settings.accept_noncommercial:
        raise PipelineError(
            f"the weights of {entry.name} must not be used commercially (licence {entry.licence}); "
            "set evaluate.weights.accept_noncommercial: true if that is fine for your work"
        )
    unknown = settings.files.keys() - {each.name for each in encoder_table()}
    if unknown:
        raise PipelineError(
            f"evaluate.weights.files names {min(unknown)!r}, which is no encoder; "
            "`python -m training.encoders.table` lists them"
        )
    local = settings.files.get(entry.name)
    if local is not None:
        if not local.is_file():
            raise PipelineError(
                f"the local file of {entry.name}, {local}, does not exist; correct its path or "
                "remove it from the settings to download the weights"
            )
        return local
    path = settings.folder / PurePosixPath(unquote(urlsplit(entry.url).path)).name
    if not entry.sha256 and not path.is_file():
        _log.warning("no checksum of %s is published: it is taken as it comes", entry.url)
    settings.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(f"{path}.lock"):  # many evaluations begin with the same file
            download(entry.url, path, _checksum(entry), pause_s)
    except PipelineError as error:
        raise PipelineError(
            f"{error}; without a network, name a local file under "
            f"evaluate.weights.files.{entry.name}"
        ) from None
    return path


def _checksum(entry: EncoderEntry) -> str | None:
    return f"sha256:{entry.sha256}" if entry.sha256 else None


def read_weights(entry: EncoderEntry, path: Path) -> dict[str, Tensor]:
    """The tensors of an encoder from a file of its published layout, by our names.

    Raises:
        PipelineError: The file is missing, damaged, holds code, or has another layout.
    """
    if entry.keys in ("cromss_mid", "cromss_late"):
        checkpoint = read_checkpoint(path)
        if f"cromss_{checkpoint.layout}" != entry.keys:
            raise PipelineError(
                f"{path} holds a network of {checkpoint.layout} fusion, {entry.name} is another; "
                "exchange the files"
            )
        return checkpoint.encoder_weights(entry.modality, len(entry.bands))
    layout = KEY_LAYOUTS[entry.keys]
    content = _read_tensors(path)
    if layout.container is not None and isinstance(content.get(layout.container), dict):
        content = content[layout.container]
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    return {
        name: tensor
        for name, tensor in tensors.items()
        if not re.fullmatch(layout.leftovers, str(name))
    }


def load_exactly(network: nn.Module, weights: dict[str, Tensor], origin: str) -> None:
    """Give weights to a network that has exactly these names and shapes.

    Args:
        network: Left as it is if anything differs.
        weights: By name.
        origin: Names them in a message.

    Raises:
        PipelineError: Names or shapes differ.
    """
    wanted = network.state_dict()
    missing, unknown = wanted.keys() - weights.keys(), weights.keys() - wanted.keys()
    if missing or unknown:
        example = min(missing, default=None) or min(unknown)
        raise PipelineError(
            f"{origin} has another layout: {len(missing)} names are missing, {len(unknown)} "
            f"unknown, for instance {example}; get the file that encoders.csv names"
        )
    for name, tensor in wanted.items():
        if tensor.shape != weights[name].shape:
            raise PipelineError(
                f"{origin}: {name} is {_shape(weights[name])}, the network takes {_shape(tensor)}; "
                "the file is of another network or of other bands"
            )
    network.load_state_dict(weights)


def _read_tensors(path: Path) -> dict[str, Any]:
    if path.suffix != ".safetensors":
        content = load_safely(path)
        if not isinstance(content, dict):
            raise PipelineError(f"{path} holds no tensors by name but a {type(content).__name__}")
        return content
    if not path.is_file():
        raise PipelineError(f"{path} does not exist")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise PipelineError(f"{path} is damaged ({error}); get it again") from None


def _shape(tensor: Tensor) -> str:
    return "x".join(str(length) for length in tensor.shape) or "a number"
