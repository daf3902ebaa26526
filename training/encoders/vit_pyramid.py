"""Vision transformers as encoders of segmentation networks: tokens become maps at four strides.

The tokens after a quarter, a half, three quarters and all of the blocks are laid out as maps and
resized to strides 4, 8, 16 and 32, as UPerNet is usually put on a plain transformer (ViTDet,
https://arxiv.org/abs/2203.16527, and MAE's segmentation, https://arxiv.org/abs/2111.06377).

Names of parameters are those of the published files, so that these load as they are.

Shapes: B batch, C bands, H rows, W columns, D width, L tokens, G groups of bands.
"""

from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block, PatchEmbed
from torch import Tensor, nn

from training.encoders.table import EncoderEntry
from training.encoders.wavelength_embedding import WavelengthPatchEmbed, sincos

STRIDES = (4, 8, 16, 32)

GROUND_SAMPLING_M = 10.0
"""Pixel size of all our images, metres."""

SATMAE_GROUPS = ((0, 1, 2, 6), (3, 4, 5, 7), (8, 9))
"""Bands that share a token, by position among SatMAE's ten: 10 m, red edge, short-wave infrared
(https://github.com/sustainlab-group/SatMAE/blob/main/models_vit_group_channels.py)."""

_SATMAE_PATCH = 8
_PATCH = 16
_NORM_EPSILON = 1e-6


@dataclass(frozen=True)
class VitShape:
    """Size of a transformer.

    Attributes:
        width: Numbers in a token.
        depth: Blocks.
        heads: Of the attention.
    """

    width: int
    depth: int
    heads: int


VIT_LARGE = VitShape(width=1024, depth=24, heads=16)


class ViTPyramid(nn.Module):
    """A transformer that looks like an encoder of segmentation_models_pytorch with five stages.

    Subclasses make the tokens. Nothing is at stride 2; an empty map stands there.

    Args:
        channels: Bands of the image.
        shape: Of the transformer.
    """

    def __init__(self, channels: int, shape: VitShape) -> None:
        super().__init__()
        self.out_channels = [channels, 0] + [shape.width] * len(STRIDES)
        self.output_stride = STRIDES[-1]
        self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.width))
        self.blocks = nn.ModuleList(
            Block(
                shape.width,
                shape.heads,
                mlp_ratio=4.0,
                qkv_bias=True,
                norm_layer=cast(type[nn.Module], partial(nn.LayerNorm, eps=_NORM_EPSILON)),
            )
            for _ in range(shape.depth)
        )
        quarter = shape.depth // len(STRIDES)
        self._taps = {quarter * (number + 1) - 1: number for number in range(len(STRIDES))}
        nn.init.normal_(self.cls_token, std=0.02)

    def tokens(self, image_BCHW: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        """Tokens of an image with their positions, the class token first.

        Returns:
            (B, 1 + G * rows * columns, D), and (G, rows, columns).
        """
        raise NotImplementedError

    def forward(self, image_BCHW: Tensor) -> list[Tensor]:
        """The image, an empty map, and (B, D, H / s, W / s) for s in 4, 8, 16, 32.

        Args:
            image_BCHW: Rows and columns are multiples of 32.
        """
        height, width = image_BCHW.shape[-2:]
        pyramid = [image_BCHW, image_BCHW.new_empty(len(image_BCHW), 0, height // 2, width // 2)]
        tokens_BLD, grid = self.tokens(image_BCHW)
        for number, block in enumerate(self.blocks):
            tokens_BLD = block(tokens_BLD)
            if number in self._taps:
                stride = STRIDES[self._taps[number]]
                map_BDHW = _as_map(tokens_BLD[:, 1:], grid)
                pyramid.append(_resized(map_BDHW, (height // stride, width // stride)))
        return pyramid


class ScaleMaePyramid(ViTPyramid):
    """Scale-MAE: positions are measured in metres, so that they know the pixel size.

    Layout: https://github.com/bair-climate-initiative/scale-mae, as hosted by torchgeo
    (https://github.com/torchgeo/torchgeo/blob/main/torchgeo/models/scale_mae.py).
    """

    def __init__(self, channels: int, shape: VitShape) -> None:
        super().__init__(channels, shape)
        self.patch_embed = _patch_embed(_PATCH, channels, shape.width)

    def tokens(self, image_BCHW: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        """See `ViTPyramid.tokens`; the class token has position 0."""
        patches_BLD, (rows, columns) = _patches(self.patch_embed, image_BCHW)
        positions_LD = sincos_positions(
            patches_BLD.shape[-1], rows, columns, GROUND_SAMPLING_M, patches_BLD.device
        )
        cls_B1D = self.cls_token.expand(len(patches_BLD), -1, -1)
        return torch.cat((cls_B1D, patches_BLD + positions_LD), dim=1), (1, rows, columns)


class SatMaePyramid(ViTPyramid):
    """SatMAE and SatMAE++: three groups of bands give three tokens at every place.

    Position and group share the width of a token. Maps are the mean over the groups. Layout:
    https://github.com/sustainlab-group/SatMAE/blob/main/models_mae_group_channels.py.

    Args:
        channels: Bands of the image, ten.
        shape: Of the transformer.
        size: Rows and columns of the images trained on.
        group_width: Numbers in a token that say its group: a quarter of them, as released.
    """

    def __init__(
        self,
        channels: int,
        shape: VitShape,
        size: int,
        group_width: int,
    ) -> None:
        super().__init__(channels, shape)
        places = (size // _SATMAE_PATCH) ** 2
        self.patch_embed = nn.ModuleList(
            _patch_embed(_SATMAE_PATCH, len(group), shape.width) for group in SATMAE_GROUPS
        )
        self.pos_embed = _fixed(1, places + 1, shape.width - group_width)
        self.channel_embed = _fixed(1, len(SATMAE_GROUPS), group_width)

    def tokens(self, image_BCHW: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        """See `ViTPyramid.tokens`; the class token has no position, as released."""
        groups = [
            _patches(embed, image_BCHW[:, list(group)])
            for embed, group in zip(self.patch_embed, SATMAE_GROUPS, strict=True)
        ]
        rows, columns = groups[0][1]
        patches_BGLD = torch.stack([patches_BLD for patches_BLD, _ in groups], dim=1)
        position_1LP = resized_positions(self.pos_embed[:, 1:], rows, columns)
        position_1GLP = position_1LP.unsqueeze(1).expand(-1, len(groups), -1, -1)
        group_1GLQ = self.channel_embed.unsqueeze(2).expand(-1, -1, rows * columns, -1)
        patches_BGLD = patches_BGLD + torch.cat((position_1GLP, group_1GLQ), dim=-1)
        cls_B1D = self.cls_token.expand(len(image_BCHW), -1, -1)
        return torch.cat((cls_B1D, patches_BGLD.flatten(1, 2)), dim=1), (len(groups), rows, columns)


class DofaPyramid(ViTPyramid):
    """DOFA: the patch embedding is generated from the wavelengths of the bands.

    Layout: https://github.com/zhu-xlab/DOFA, as hosted by torchgeo
    (https://github.com/torchgeo/torchgeo/blob/main/torchgeo/models/dofa.py).

    Args:
        wavelengths: Of each band, micrometres.
        shape: Of the transformer.
        size: Rows and columns of the images trained on.
    """

    def __init__(self, wavelengths: tuple[float, ...], shape: VitShape, size: int) -> None:
        super().__init__(len(wavelengths), shape)
        self.patch_embed = WavelengthPatchEmbed(wavelengths, _PATCH, shape.width)
        self.pos_embed = _fixed(1, (size // _PATCH) ** 2 + 1, shape.width)

    def tokens(self, image_BCHW: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
        """See `ViTPyramid.tokens`."""
        map_BDHW = self.patch_embed(image_BCHW)
        rows, columns = map_BDHW.shape[-2:]
        position_1LD = resized_positions(self.pos_embed[:, 1:], rows, columns)
        patches_BLD = map_BDHW.flatten(2).transpose(1, 2) + position_1LD
        cls_B1D = (self.cls_token + self.pos_embed[:, :1]).expand(len(image_BCHW), -1, -1)
        return torch.cat((cls_B1D, patches_BLD), dim=1), (1, rows, columns)


def build_vit(entry: EncoderEntry, shape: VitShape = VIT_LARGE) -> ViTPyramid:
    """A randomly initialised transformer of the kind that a row of the table names."""
    channels = len(entry.bands)
    if entry.kind == "scalemae_vit_large":
        return ScaleMaePyramid(channels, shape)
    if entry.size is None:
        raise ValueError(f"encoders.csv: {entry.name} needs the size that it was trained on")
    if entry.kind == "dofa_vit_large":
        return DofaPyramid(entry.wavelengths, shape, entry.size)
    return SatMaePyramid(channels, shape, entry.size, group_width=shape.width // 4)


def sincos_positions(
    width: int, rows: int, columns: int, spacing: float, device: torch.device
) -> Tensor:
    """Sine and cosine of column and row, in units of patches times the pixel size.

    Scale-MAE, Eq. 2 (https://arxiv.org/abs/2212.14532); its code gives the first half of the width
    to the columns and does not divide by a reference resolution.

    Returns:
        (rows * columns, width) float32.
    """
    across = torch.arange(columns, dtype=torch.float32, device=device) * spacing
    down = torch.arange(rows, dtype=torch.float32, device=device) * spacing
    down_HW, across_HW = torch.meshgrid(down, across, indexing="ij")
    halves = [sincos(width // 2, position.flatten()) for position in (across_HW, down_HW)]
    return torch.cat(halves, dim=1)


def resized_positions(position_1LD: Tensor, rows: int, columns: int) -> Tensor:
    """Position embeddings of a square grid, bicubically on another (as in DeiT and MAE).

    Returns:
        (1, rows * columns, D).
    """
    side = round(position_1LD.shape[1] ** 0.5)
    if (rows, columns) == (side, side):
        return position_1LD
    map_1DHW = _as_map(position_1LD, (1, side, side))
    resized_1DHW = F.interpolate(
        map_1DHW, size=(rows, columns), mode="bicubic", align_corners=False
    )
    return resized_1DHW.flatten(2).transpose(1, 2)


def _as_map(tokens_BLD: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """(B, D, rows, columns), the mean over the groups."""
    tokens_BGHWD = tokens_BLD.unflatten(1, grid)
    return tokens_BGHWD.mean(dim=1).permute(0, 3, 1, 2)


def _resized(map_BDHW: Tensor, size: tuple[int, int]) -> Tensor:
    if map_BDHW.shape[-2:] == size:
        return map_BDHW.contiguous()
    return F.interpolate(map_BDHW, size=size, mode="bilinear", align_corners=False)


def _patch_embed(patch: int, channels: int, width: int) -> PatchEmbed:
    return PatchEmbed(None, patch, channels, width, strict_img_size=False)


def _patches(embed: nn.Module, image_BCHW: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """Tokens of the patches, and how many rows and columns of them there are."""
    height, width = image_BCHW.shape[-2:]
    patch = cast(tuple[int, int], embed.patch_size)[0]
    patches_BLD: Tensor = embed(image_BCHW)
    return patches_BLD, (height // patch, width // patch)


def _fixed(*shape: int) -> nn.Parameter:
    """Embeddings that pretraining did not change, and fine-tuning does not either."""
    return nn.Parameter(torch.randn(shape) * 0.02, requires_grad=False)
