"""The truth beside a simulated store."""

import numpy as np
import xarray as xr

from pipeline.store.reader import open_store


def test_truth_lies_beside_the_noisy_labels(copy):
    assert "noisy labels are true" in copy.build("truth")
    noisy = xr.open_zarr(copy.store, mask_and_scale=False)
    true = open_store(copy.folder / "truth.zarr")
    assert true["label"].shape == noisy["label"].shape
    valid = noisy["valid"].values
    assert (true["label"].values[~valid] == 255).all()
    assert set(np.unique(true["label"].values[valid])) <= set(range(9))
    labelled = noisy["label"].values[valid] != 255
    agreement = (noisy["label"].values[valid] == true["label"].values[valid])[labelled].mean()
    assert 0.4 < agreement < 0.95
