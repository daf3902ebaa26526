"""From a list of places to chunked Zarr stores of Sentinel-1/2 and land-cover labels."""

__version__ = "0.1.0"
