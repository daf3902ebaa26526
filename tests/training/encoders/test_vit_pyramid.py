"""Pyramids equal transformers written out as their authors did."""

import math
from functools import partial

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer

from training.encoders.table import encoder_table
from training.encoders.vit_pyramid import (
    SATMAE_GROUPS,
    DofaPyramid,
    SatMaePyramid,
    ScaleMaePyramid,
    VitShape,
    build_vit,
    resized_positions,
)

TINY = VitShape(width=32, depth=8, heads=2)
WAVES = (0.665, 0.56, 0.49, 1.61)


def image(channels, height, width, seed=0):
    return torch.rand(2, channels, height, width, generator=torch.manual_seed(seed))


def sincos_by_hand(width, position):
    """One position: sines of all frequencies, then cosines."""
    angles = [position / 10000 ** (2 * i / width) for i in range(width // 2)]
    return [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]


def through_blocks(blocks, tokens, taps=(2, 4, 6, 8)):
    """Tokens after each of the named numbers of blocks."""
    found = []
    for number, block in enumerate(blocks, start=1):
        tokens = block(tokens)
        if number in taps:
            found.append(tokens)
    return found


def as_pyramid(maps, height, width):
    sizes = [(height // stride, width // stride) for stride in (4, 8, 16, 32)]
    return [
        F.interpolate(each, size=size, mode="bilinear", align_corners=False)
        for each, size in zip(maps, sizes, strict=True)
    ]


@pytest.mark.parametrize(
    "encoder, channels",
    [
        (ScaleMaePyramid(3, TINY), 3),
        (SatMaePyramid(10, TINY, size=64, group_width=8), 10),
        (DofaPyramid(WAVES, TINY, size=64), 4),
    ],
)
@pytest.mark.parametrize("height, width", [(64, 64), (96, 160)])
def test_strides_are_those_of_a_convolutional_encoder(encoder, channels, height, width):
    pyramid = encoder(image(channels, height, width))
    expected = [(channels, 1), (0, 2), (32, 4), (32, 8), (32, 16), (32, 32)]
    assert [tuple(level.shape) for level in pyramid] == [
        (2, bands, height // stride, width // stride) for bands, stride in expected
    ]
    assert encoder.out_channels == [bands for bands, _ in expected]
    assert all(level.isfinite().all() for level in pyramid)


def test_scale_mae_equals_timm_with_positions_in_metres():
    ours = ScaleMaePyramid(3, TINY).eval()
    theirs = VisionTransformer(
        img_size=64,
        patch_size=16,
        embed_dim=32,
        depth=8,
        num_heads=2,
        num_classes=0,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
    ).eval()
    missing, _ = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert set(missing) == {"pos_embed", "norm.weight", "norm.bias"}
    # Rows of the grid change slowest; the first half of the width is the column.
    positions = [
        sincos_by_hand(16, column * 10.0) + sincos_by_hand(16, row * 10.0)
        for row in range(4)
        for column in range(4)
    ]
    with torch.no_grad():
        theirs.pos_embed[0, 0] = 0
        theirs.pos_embed[0, 1:] = torch.tensor(positions)
        maps = theirs.forward_intermediates(
            image(3, 64, 64), indices=[1, 3, 5, 7], intermediates_only=True
        )
        for found, expected in zip(
            ours(image(3, 64, 64))[2:], as_pyramid(maps, 64, 64), strict=True
        ):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def satmae_by_hand(encoder, picture):
    """models_vit_group_channels.py, group by group, at the size trained on."""
    tokens = []
    for group, bands in enumerate(SATMAE_GROUPS):
        projection = encoder.patch_embed[group].proj
        patches = F.conv2d(picture[:, list(bands)], projection.weight, projection.bias, stride=8)
        for row in range(patches.shape[2]):
            for column in range(patches.shape[3]):
                place = 1 + row * patches.shape[3] + column
                position = torch.cat((encoder.pos_embed[0, place], encoder.channel_embed[0, group]))
                tokens.append(patches[:, :, row, column] + position)
    cls = encoder.cls_token[0].expand(len(picture), -1)
    return torch.stack([cls, *tokens], dim=1)


@torch.no_grad()
def test_satmae_adds_place_and_group_and_averages_the_groups():
    encoder = SatMaePyramid(10, TINY, size=64, group_width=8).eval()
    picture = image(10, 64, 64)
    maps = []
    for tokens in through_blocks(encoder.blocks, satmae_by_hand(encoder, picture)):
        by_group = tokens[:, 1:].reshape(2, 3, 64, 32)
        maps.append(by_group.mean(dim=1).transpose(1, 2).reshape(2, 32, 8, 8))
    for found, expected in zip(encoder(picture)[2:], as_pyramid(maps, 64, 64), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def dofa_kernels_by_hand(embed, wavelengths):
    """Kernels (D, C, 16, 16) and bias that the generator writes, one wavelength at a time."""
    generator = embed.weight_generator
    waves = torch.tensor([sincos_by_hand(128, 1000 * wave) for wave in wavelengths])
    hidden = F.relu(F.linear(waves, embed.fclayer.w1.weight, embed.fclayer.w1.bias))
    waves = waves + F.relu(F.linear(hidden, embed.fclayer.w2.weight, embed.fclayer.w2.bias))
    tokens = torch.cat((generator.weight_tokens, waves, generator.bias_token))
    answer = generator.transformer_encoder(tokens)
    kernels = []
    for band in range(len(wavelengths)):
        flat = generator.fc_weight(answer[128 + band] + waves[band])
        kernels.append(flat.reshape(16, 16, -1).permute(2, 0, 1))
    return torch.stack(kernels, dim=1) * 0.01, generator.fc_bias(answer[-1]) * 0.01


@torch.no_grad()
def test_dofa_convolves_with_what_the_wavelengths_say():
    encoder = DofaPyramid(WAVES, TINY, size=64).eval()
    picture = image(4, 64, 64)
    kernels, bias = dofa_kernels_by_hand(encoder.patch_embed, WAVES)
    patches = F.unfold(F.pad(picture, (1, 1, 1, 1)), kernel_size=16, stride=16)
    tokens = (kernels.flatten(1) @ patches).transpose(1, 2) + bias + encoder.pos_embed[:, 1:]
    cls = (encoder.cls_token + encoder.pos_embed[:, :1]).expand(2, -1, -1)
    found, _ = encoder.tokens(picture)
    torch.testing.assert_close(found, torch.cat((cls, tokens), dim=1), rtol=1e-4, atol=1e-5)
    maps = [
        each[:, 1:].transpose(1, 2).reshape(2, 32, 4, 4)
        for each in through_blocks(encoder.blocks, found)
    ]
    for level, expected in zip(encoder(picture)[2:], as_pyramid(maps, 64, 64), strict=True):
        torch.testing.assert_close(level, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_other_wavelengths_make_another_embedding():
    near, far = DofaPyramid((0.49,), TINY, size=64), DofaPyramid((5.405,), TINY, size=64)
    far.load_state_dict(near.state_dict())
    assert not torch.allclose(near(image(1, 64, 64))[4], far(image(1, 64, 64))[4])


def test_positions_are_kept_at_the_size_trained_on_and_stretched_at_others():
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing="ij")
    positions = torch.stack((rows.flatten(), columns.flatten()), dim=1)[None]
    assert resized_positions(positions, 6, 6) is positions
    stretched = resized_positions(positions, 12, 18).reshape(12, 18, 2)
    # Pixel k of 12 lies at (k + 0.5) / 2 - 0.5 of 6; torch's cubic keeps a ramp to 0.05.
    middle = torch.arange(4, 8)
    close = {"rtol": 0.0, "atol": 0.05}
    torch.testing.assert_close(
        stretched[4:8, :, 0], ((middle + 0.5) / 2 - 0.5)[:, None].expand(-1, 18), **close
    )
    torch.testing.assert_close(
        stretched[:, 7:11, 1], ((torch.arange(7, 11) + 0.5) / 3 - 0.5).expand(12, -1), **close
    )


def numbers(width, depth):
    """Parameters of the blocks: two norms, qkv, projection, and the two layers between."""
    return depth * (12 * width**2 + 13 * width)


@pytest.mark.parametrize("name", ["scalemae", "satmae", "satmae_pp", "dofa"])
def test_full_size_has_the_names_and_shapes_of_the_published_files(name):
    entry = next(each for each in encoder_table() if (each.name, each.modality) == (name, "s2"))
    with torch.device("meta"):
        encoder = build_vit(entry)
    shapes = {key: tuple(tensor.shape) for key, tensor in encoder.state_dict().items()}
    blocks = {key for key in shapes if key.startswith("blocks.")}
    published = timm.create_model("vit_large_patch16_224", num_classes=0, device="meta")
    theirs = {key: tuple(tensor.shape) for key, tensor in published.state_dict().items()}
    assert {key: shapes[key] for key in blocks} == {
        key: shape for key, shape in theirs.items() if key.startswith("blocks.")
    }
    assert sum(math.prod(shapes[key]) for key in blocks) == numbers(1024, 24)
    others = {key: shapes[key] for key in shapes.keys() - blocks}
    assert others.pop("cls_token") == (1, 1, 1024)
    assert others.items() >= PUBLISHED[name].items()
    if name != "dofa":
        assert others == PUBLISHED[name]


_SATMAE = {"pos_embed": (1, 145, 768), "channel_embed": (1, 3, 256)} | {
    f"patch_embed.{group}.proj.{part}": shape
    for group, bands in enumerate((4, 4, 2))
    for part, shape in (("weight", (1024, bands, 8, 8)), ("bias", (1024,)))
}
_GENERATOR = "patch_embed.weight_generator"
PUBLISHED = {
    "scalemae": {
        "patch_embed.proj.weight": (1024, 3, 16, 16),
        "patch_embed.proj.bias": (1024,),
    },
    "satmae": _SATMAE,
    "satmae_pp": _SATMAE,
    "dofa": {
        "pos_embed": (1, 197, 1024),
        f"{_GENERATOR}.weight_tokens": (128, 128),
        f"{_GENERATOR}.bias_token": (1, 128),
        f"{_GENERATOR}.fc_weight.weight": (16 * 16 * 1024, 128),
        f"{_GENERATOR}.fc_bias.weight": (1024, 128),
        f"{_GENERATOR}.transformer_encoder.layers.0.self_attn.in_proj_weight": (384, 128),
        f"{_GENERATOR}.transformer_encoder.layers.0.linear1.weight": (2048, 128),
        "patch_embed.fclayer.w1.weight": (128, 128),
        "patch_embed.fclayer.w2.bias": (128,),
    },
}
