"""Segmentation networks for the downstream tasks: an encoder, a decoder, a head.

The decoders are those of `segmentation_models_pytorch` with its defaults. Networks are put together
here rather than by that library's own classes, which know encoders by name alone and cannot take
one that is already loaded.

Shapes: B batch, H rows, W columns; any size, since images are padded to what the encoder needs.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal, cast, get_args

import torch.nn.functional as F
from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.base.initialization import initialize_decoder, initialize_head
from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder
from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder
from segmentation_models_pytorch.decoders.pspnet.decoder import PSPDecoder
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder
from segmentation_models_pytorch.encoders._base import EncoderMixin
from torch import Tensor, nn

from pipeline.errors import PipelineError

TaskHead = Literal["pspnet", "deeplabv3plus", "fpn", "upernet", "unet"]

FULL_DEPTH = 5
"""Stages of an encoder: strides 2, 4, 8, 16 and 32."""

PSPNET_DEPTH = 3
"""The library's default, and the paper's: the two deepest stages of the encoder do nothing."""

_DEEPLAB_STRIDE = 16
"""Of the deepest features of DeepLabV3+; the last stage is dilated instead of strided."""

_UNET_WIDTHS = (256, 128, 64, 32, 16)


class Segmenter(nn.Module):
    """An encoder with a task head.

    Attributes:
        task_head: Which decoder.
        encoder_depth: Stages of the encoder that the decoder sees, of 5.
        multiple: Rows and columns are padded to multiples of this, by repeating the edge, and the
            logits cut back; 510 pixels become 512 as in the released code.
    """

    def __init__(
        self,
        task_head: TaskHead,
        encoder: nn.Module,
        decoder: nn.Module,
        segmentation_head: nn.Module,
        encoder_depth: int,
        multiple: int,
    ) -> None:
        super().__init__()
        self.task_head = task_head
        self.encoder = encoder
        self.decoder = decoder
        self.segmentation_head = segmentation_head
        self.encoder_depth = encoder_depth
        self.multiple = multiple

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Logits, (B, num_classes, H, W)."""
        height, width = image_BCHW.shape[-2:]
        padded_BCHW, top, left = padded(image_BCHW, self.multiple)
        features = self.encoder(padded_BCHW)
        logits_BCHW: Tensor = self.segmentation_head(self.decoder(features))
        return logits_BCHW[..., top : top + height, left : left + width]


def padded(image_BCHW: Tensor, multiple: int) -> tuple[Tensor, int, int]:
    """An image with rows and columns that are multiples, its edge repeated on all sides alike.

    Returns:
        The image, and how many rows and columns stand before the first of its own.
    """
    top, bottom = _padding(image_BCHW.shape[-2], multiple)
    left, right = _padding(image_BCHW.shape[-1], multiple)
    if top + bottom + left + right:
        image_BCHW = F.pad(image_BCHW, (left, right, top, bottom), mode="replicate")
    return image_BCHW, top, left


def build_segmenter(
    task_head: TaskHead,
    encoder: nn.Module,
    num_classes: int,
    encoder_depth: int | None = None,
) -> Segmenter:
    """Put a randomly initialised decoder and head on an encoder.

    The encoder becomes part of the network and is adapted to it (DeepLabV3+ dilates its last stage,
    PSPNet shortens it), so load a fresh one for every network.

    Args:
        task_head: Which decoder.
        encoder: An smp encoder of five stages, or a `ViTPyramid`.
        num_classes: Channels of the logits.
        encoder_depth: Stages in use. All heads use 5; PSPNet takes 3 by default for a convolutional
            encoder, and 4 or 5 on request. Parameters of unused stages are frozen, since nothing
            ever reaches them.

    Raises:
        PipelineError: The head does not exist, or cannot work with this encoder or depth.
    """
    if task_head not in get_args(TaskHead):
        known = ", ".join(get_args(TaskHead))
        raise PipelineError(f"there is no head {task_head!r}; choose one of {known}")
    depth = _depth(task_head, encoder, encoder_depth)
    _shorten(encoder, depth)
    stride = 2**depth
    if task_head == "deeplabv3plus":
        _dilate(encoder)
        stride = _DEEPLAB_STRIDE
    decoder, head = _decoder_and_head(task_head, encoder, num_classes, depth)
    initialize_decoder(decoder)
    initialize_head(head)
    return Segmenter(task_head, encoder, decoder, head, depth, stride)


def freeze(encoder: nn.Module) -> nn.Module:
    """Fix an encoder in place: no gradient, and eval mode that no later ``.train()`` ends.

    Without the latter, batch normalisation would go on updating its running statistics, and a
    "frozen" encoder would change (released code, and torchgeo's ``freeze_backbone``).

    Returns:
        The same encoder.
    """
    encoder.requires_grad_(False)
    encoder.train = partial(_stay_in_eval_mode, encoder)  # type: ignore[method-assign]
    return encoder.eval()


def _stay_in_eval_mode(encoder: nn.Module, mode: bool = True) -> nn.Module:
    return type(encoder).train(encoder, mode=False)


def _stages(encoder: nn.Module) -> Mapping[int, Sequence[nn.Module]]:
    """Modules of the deeper stages by stride; empty for encoders that cannot be taken apart."""
    try:
        return cast(EncoderMixin, encoder).get_stages()
    except (AttributeError, NotImplementedError):
        return {}


def _depth(task_head: TaskHead, encoder: nn.Module, wanted: int | None) -> int:
    can_be_short = task_head == "pspnet" and bool(_stages(encoder))
    least = PSPNET_DEPTH if can_be_short else FULL_DEPTH
    depth = least if wanted is None else wanted
    allowed = range(least, FULL_DEPTH + 1)
    if depth not in allowed:
        choices = " or ".join(str(choice) for choice in allowed)
        raise PipelineError(
            f"{task_head} cannot use {depth} stages of {type(encoder).__name__}; "
            f"set encoder_depth to {choices}"
        )
    return depth


def _shorten(encoder: nn.Module, depth: int) -> None:
    """Let an encoder stop after `depth` stages."""
    if depth == FULL_DEPTH:
        return
    setattr(encoder, "_depth", depth)  # noqa: B010 - the constructor's argument; no public name
    for stride, modules in _stages(encoder).items():
        if stride > 2**depth:
            for module in modules:
                module.requires_grad_(False)


def _dilate(encoder: nn.Module) -> None:
    if not _stages(encoder):
        raise PipelineError(
            f"deeplabv3plus dilates convolutions, which {type(encoder).__name__} does not allow; "
            "choose another head, such as upernet"
        )
    cast(EncoderMixin, encoder).make_dilated(_DEEPLAB_STRIDE)


def _decoder_and_head(
    task_head: TaskHead, encoder: nn.Module, num_classes: int, depth: int
) -> tuple[nn.Module, nn.Module]:
    """Decoder and head with the library's defaults (its version 0.6), as in its own classes."""
    channels = list(cast(tuple[int, ...], encoder.out_channels))
    if task_head == "pspnet":
        decoder = PSPDecoder(channels, use_norm="batchnorm", out_channels=512, dropout=0.2)
        return decoder, SegmentationHead(512, num_classes, kernel_size=3, upsampling=2**depth)
    if task_head == "deeplabv3plus":
        decoder = DeepLabV3PlusDecoder(
            channels,
            encoder_depth=depth,
            out_channels=256,
            atrous_rates=(12, 24, 36),
            output_stride=_DEEPLAB_STRIDE,
            aspp_separable=True,
            aspp_dropout=0.5,
        )
        return decoder, SegmentationHead(256, num_classes, kernel_size=1, upsampling=4)
    if task_head == "fpn":
        decoder = FPNDecoder(channels, encoder_depth=depth)
        return decoder, SegmentationHead(
            decoder.out_channels, num_classes, kernel_size=1, upsampling=4
        )
    if task_head == "upernet":
        decoder = UPerNetDecoder(channels, encoder_depth=depth)
        return decoder, SegmentationHead(256, num_classes, kernel_size=1, upsampling=4)
    decoder = UnetDecoder(channels, decoder_channels=_UNET_WIDTHS, n_blocks=depth)
    return decoder, SegmentationHead(_UNET_WIDTHS[-1], num_classes, kernel_size=3)


def _padding(length: int, multiple: int) -> tuple[int, int]:
    """Pixels to add before and after."""
    missing = math.ceil(length / multiple) * multiple - length
    return missing // 2, missing - missing // 2
