"""The device and the store's reader refine bands in the same way."""

import numpy as np
import pytest
import torch

from pipeline.store.interpolation import interpolate
from training.loading.upsampling import upsample


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("coarse", [44, 132])
def test_equals_the_reader_of_the_store(method, coarse):
    band = np.random.default_rng(0).integers(1, 10_000, (coarse, coarse)).astype(np.uint16)
    expected = interpolate(band, (264, 264), method, nodata=0)
    fine = upsample(torch.from_numpy(band).float()[None, None], (264, 264), method)
    np.testing.assert_allclose(fine[0, 0].numpy(), expected, rtol=2e-5, atol=0.05)


def test_bands_of_10_m_are_passed_through():
    band = torch.rand(1, 2, 24, 24)
    assert upsample(band, (24, 24), "bicubic") is band
