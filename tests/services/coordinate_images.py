"""Requests for images whose pixel values are their own coordinates, and the grids for them."""

import ee

from pipeline.grid import patch_grid

PRAGUE = patch_grid(14.42, 50.08, 48)
COORDINATES = "SIMULATED/COORDINATES"


def request_grid(grid):
    """A grid as the REST API writes it."""
    return {
        "dimensions": {"width": grid.width, "height": grid.height},
        "crsCode": grid.crs,
        "affineTransform": {
            "scaleX": grid.resolution,
            "translateX": grid.left,
            "scaleY": -grid.resolution,
            "translateY": grid.top,
        },
    }


def coordinates(epsg):
    """The image of a UTM zone with the bands x and y."""
    return ee.Image(f"{COORDINATES}/{epsg}").select(["x", "y"])


def fetch(image, grid):
    """The pixels of an image on a grid, a structured array."""
    return ee.data.computePixels(
        {"expression": image, "fileFormat": "NUMPY_NDARRAY", "grid": request_grid(grid)}
    )
