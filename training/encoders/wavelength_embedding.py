"""DOFA's patch embedding: a small transformer writes the convolution from the wavelengths.

Thus one network takes any bands. Xiong et al. 2024, https://arxiv.org/abs/2403.15356; names and
constants after https://github.com/zhu-xlab/DOFA.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_WAVE_WIDTH = 128
_WEIGHT_TOKENS = 128
_GENERATOR_HEADS = 4
_SCALE = 0.01
"""Of the generated weights, which keeps them small at the start of pretraining."""

_PADDING = 1
"""As released; patches are cut one pixel up and left of the usual grid."""


class WavelengthPatchEmbed(nn.Module):
    """Patches of an image with any bands.

    Args:
        wavelengths: Of each band, micrometres.
        patch: Rows and columns of a patch.
        width: Numbers in a token.
    """

    wavelengths: Tensor

    def __init__(self, wavelengths: tuple[float, ...], patch: int, width: int) -> None:
        super().__init__()
        self._patch = patch
        self._width = width
        self.register_buffer(
            "wavelengths", torch.tensor(wavelengths, dtype=torch.float32), persistent=False
        )
        self.weight_generator = _WeightGenerator(patch * patch * width, width)
        self.fclayer = _ResidualLayer()

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Tokens as a map, (B, width, H / patch, W / patch)."""
        waves_CD = self.fclayer(sincos(_WAVE_WIDTH, self.wavelengths * 1000.0))
        kernel_CK, bias_D = self.weight_generator(waves_CD)
        kernel_CHWD = kernel_CK.view(-1, self._patch, self._patch, self._width)
        return F.conv2d(
            image_BCHW,
            kernel_CHWD.permute(3, 0, 1, 2) * _SCALE,
            bias=bias_D * _SCALE,
            stride=self._patch,
            padding=_PADDING,
        )


class _WeightGenerator(nn.Module):
    """One transformer layer over learnt tokens, the wavelengths, and a token for the bias."""

    def __init__(self, kernel_numbers: int, width: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            d_model=_WAVE_WIDTH, nhead=_GENERATOR_HEADS, activation="gelu", dropout=0.0
        )
        self.transformer_encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.fc_weight = nn.Linear(_WAVE_WIDTH, kernel_numbers)
        self.fc_bias = nn.Linear(_WAVE_WIDTH, width)
        self.weight_tokens = nn.Parameter(torch.randn(_WEIGHT_TOKENS, _WAVE_WIDTH) * 0.02)
        self.bias_token = nn.Parameter(torch.randn(1, _WAVE_WIDTH) * 0.02)

    def forward(self, waves_CD: Tensor) -> tuple[Tensor, Tensor]:
        """Kernel of each band, flat, and the bias."""
        tokens = torch.cat((self.weight_tokens, waves_CD, self.bias_token))
        answer = self.transformer_encoder(tokens)
        kernels_CK = self.fc_weight(answer[_WEIGHT_TOKENS:-1] + waves_CD)
        return kernels_CK, self.fc_bias(answer[-1])


class _ResidualLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w1 = nn.Linear(_WAVE_WIDTH, _WAVE_WIDTH)
        self.w2 = nn.Linear(_WAVE_WIDTH, _WAVE_WIDTH)

    def forward(self, waves_CD: Tensor) -> Tensor:
        return waves_CD + F.relu(self.w2(F.relu(self.w1(waves_CD))))


def sincos(width: int, positions_L: Tensor) -> Tensor:
    """Sines, then cosines, of positions at frequencies 10000^(-2i / width) (Vaswani et al. 2017).

    Returns:
        (L, width) float32.
    """
    half = torch.arange(width // 2, dtype=torch.float32, device=positions_L.device)
    frequencies = 10000.0 ** (-half / (width / 2))
    angles = positions_L.float().unsqueeze(1) * frequencies
    return torch.cat((angles.sin(), angles.cos()), dim=1)
