"""The procedure by which the released dataset was decoded, kept for comparison.

Nearest legend colour, opening, bilinear warp of the class numbers, opening. The warp passes through
other classes between two numbers, and the openings remove these halos together with everything
thinner than three pixels. Left out are two faults of the authors' script that would displace the
labels: after a failed first request it placed the smaller box as if it were the larger one, and it
wrote the file with the corners of another projection.

Source: github.com/zhu-xlab/CromSS, scripts ``1-download_osm_*``.
"""

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.warp import Resampling, reproject

from pipeline.grid import PatchGrid
from pipeline.legend import UNLABELLED, load_legend
from pipeline.osm_landuse.cleaning import opened
from pipeline.osm_landuse.map_request import WEB_MERCATOR, MapRequest
from pipeline.osm_landuse.picture import map_colours

_BACKGROUND_NUMBER = 0


def decode_as_released(
    picture: NDArray[np.uint8], request: MapRequest, grid: PatchGrid
) -> NDArray[np.uint8]:
    """Labels of a tile by the authors' procedure.

    Class numbers are those of the released files while they are warped, since what lies between
    two classes depends on their numbers.

    Args:
        picture: (rows, columns, 4) uint8.
        request: The window that the picture shows.
        grid: The tile.

    Returns:
        (y, x) uint8 on the grid, ids of the legend ``osm_landuse``, 255 = no label.
    """
    numbers = opened(_nearest_number(picture), _BACKGROUND_NUMBER)
    warped = np.zeros(grid.shape, np.uint8)
    reproject(
        numbers,
        warped,
        src_transform=request.transform,
        src_crs=CRS.from_string(WEB_MERCATOR),
        dst_transform=grid.transform,
        dst_crs=CRS.from_epsg(grid.epsg),
        resampling=Resampling.bilinear,
    )
    ids = np.full(256, UNLABELLED, np.uint8)
    for row in load_legend("osm_landuse"):
        ids[row.released_id] = row.id
    cleaned: NDArray[np.uint8] = ids[opened(warped, _BACKGROUND_NUMBER)]
    return cleaned


def _nearest_number(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Released number of the legend colour at the smallest squared distance, 0 = white."""
    classes = sorted(load_legend("osm_landuse"), key=lambda row: row.released_id)
    palette = np.array([(255, 255, 255), *(row.rgb for row in classes)])

    def numbers_of(colours: NDArray[np.int64]) -> NDArray[np.uint8]:
        distance = ((colours[:, None] - palette[None]) ** 2).sum(axis=-1)
        return distance.argmin(axis=1).astype(np.uint8)

    return map_colours(picture, numbers_of)
