"""The convolution follows the wavelengths, and nothing else."""

import math

import torch

from training.encoders.wavelength_embedding import WavelengthPatchEmbed, sincos


def test_positions_are_sines_then_cosines():
    found = sincos(8, torch.tensor([0.0, 3.0]))
    angles = [3.0 / 10000 ** (2 * i / 8) for i in range(4)]
    expected = [[0.0] * 4 + [1.0] * 4, [*map(math.sin, angles), *map(math.cos, angles)]]
    torch.testing.assert_close(found, torch.tensor(expected))


@torch.no_grad()
def test_bands_in_another_order_with_their_wavelengths_give_the_same_tokens():
    torch.manual_seed(0)
    embed = WavelengthPatchEmbed((0.665, 0.56, 0.49), patch=16, width=32).eval()
    turned = WavelengthPatchEmbed((0.49, 0.56, 0.665), patch=16, width=32).eval()
    turned.load_state_dict(embed.state_dict())
    image = torch.rand(2, 3, 64, 96)
    tokens = embed(image)
    assert tokens.shape == (2, 32, 4, 6)
    torch.testing.assert_close(turned(image.flip(1)), tokens, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(turned(image), tokens, rtol=1e-4, atol=1e-6)


def test_wavelengths_are_no_weights():
    """They are of the bands in hand, not of the published file."""
    embed = WavelengthPatchEmbed((0.665,), patch=16, width=32)
    assert "wavelengths" not in embed.state_dict() and not list(embed.buffers())[0].requires_grad
