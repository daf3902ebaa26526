"""Fetches the pixels of one expert tile: one request, fifteen bands, the label's own grid."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import ee
import numpy as np
from numpy.typing import NDArray

from pipeline.earthengine.budget import PIXELS
from pipeline.earthengine.client import Client
from pipeline.earthengine.errors import TooBig
from pipeline.earthengine.pixels import (
    S1_MASKED_DB,
    read_npy,
    request_grid,
    scene_image,
    to_hundredths,
)
from pipeline.earthengine.queries import S1_COLLECTION, S2_COLLECTION
from pipeline.grid import PatchGrid
from pipeline.sensors import cube_bands

_S2_BANDS = tuple(band.name for band in cube_bands("sentinel-2"))
_S1_BANDS = tuple(band.name for band in cube_bands("sentinel-1"))

_S2_MASKED = -1.0
"""Stands for masked reflectance on the way; 0 is a value, which dark water has in some bands."""


@dataclass(frozen=True, eq=False)
class TileImages:
    """Both images of a tile, as resampled by the service.

    Attributes:
        s2: (13, y, x) float32, reflectance x 10000; -1 where masked.
        s1: (2, y, x) float32, dB; -9999 where masked.
    """

    s2: NDArray[np.float32]
    s1: NDArray[np.float32]

    @property
    def s2_masked(self) -> bool:
        """Whether any pixel of Sentinel-2 is masked."""
        return bool((self.s2 == _S2_MASKED).any())

    @property
    def s1_masked(self) -> bool:
        """Whether any pixel of Sentinel-1 is masked."""
        return bool((self.s1 == S1_MASKED_DB).any())

    def stored(self) -> dict[str, NDArray[Any]]:
        """The arrays of the store: ``s2`` uint16, rounded; ``s1`` int16 in 0.01 dB."""
        largest = np.iinfo(np.uint16).max
        return {
            "s2": np.clip(np.rint(self.s2), 0, largest).astype(np.uint16),
            "s1": np.stack([to_hundredths(band) for band in self.s1]),
        }


def fetch_images(client: Client, s2_id: str, s1_id: str, grid: PatchGrid) -> TileImages:
    """Fetch both images of a tile, in one request; in one per sensor where that is too much.

    As in the released script, all bands are resampled bilinearly to 10 m, which leaves 10 m bands
    as they are where the tile lies on the scene's own pixels.

    Args:
        client: A session on the high-volume endpoint.
        s2_id: Sentinel-2 ``system:index``.
        s1_id: Sentinel-1 ``system:index``.
        grid: The label's pixels, of any origin.

    Raises:
        Missing: The archive no longer has one of the scenes.
        EarthEngineFault: It could not be fetched now; see the class.
    """
    s2 = scene_image(S2_COLLECTION, s2_id).select(list(_S2_BANDS)).toFloat()
    s2 = s2.resample("bilinear").unmask(_S2_MASKED, False).toFloat()
    s1 = scene_image(S1_COLLECTION, s1_id).select(list(_S1_BANDS)).toFloat()
    s1 = s1.resample("bilinear").unmask(S1_MASKED_DB, False).toFloat()
    try:
        bands = _fetch(client, s2.addBands(s1), (*_S2_BANDS, *_S1_BANDS), grid)
    except TooBig:
        bands = _fetch(client, s2, _S2_BANDS, grid) | _fetch(client, s1, _S1_BANDS, grid)
    return TileImages(
        s2=np.stack([bands[name] for name in _S2_BANDS]).astype(np.float32),
        s1=np.stack([bands[name] for name in _S1_BANDS]).astype(np.float32),
    )


def _fetch(
    client: Client, image: ee.Image, names: tuple[str, ...], grid: PatchGrid
) -> dict[str, NDArray[Any]]:
    request = {"expression": image, "fileFormat": "NPY", "grid": request_grid(grid)}

    def check(answer: Any) -> dict[str, NDArray[Any]]:
        pixels = read_npy(answer, grid.shape, names)
        return {name: pixels[name] for name in names}

    return client.call(partial(ee.data.computePixels, request), check, PIXELS)
