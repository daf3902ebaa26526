"""Mean and spread of the bands of a task's training tiles.

They scale the input of encoders that have no scaling of their own: random and ImageNet weights.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.season_pixels import S1_NODATA, S2_NODATA
from pipeline.sensors import cube_bands
from pipeline.store.object_path import StorePath
from pipeline.store.shard_reader import open_chunks
from training.cromss.fusion import Modality
from training.loading.batch import S1_STEP_DB

_MOST_TILES = 128
"""More change the statistics by less than they differ between stores."""

_SENSORS: dict[Modality, str] = {"s1": "sentinel-1", "s2": "sentinel-2"}


def tile_statistics(
    store: StorePath, group: str, modality: Modality, samples: NDArray[np.int64]
) -> dict[str, dict[str, float]]:
    """Mean and standard deviation of each band over pixels with data.

    Args:
        store: Folder of a tile store.
        group: Its training group.
        modality: Whose bands.
        samples: Valid tiles; of many, evenly spaced ones are read.

    Returns:
        By band "mean" and "std", in dB or reflectance x 10000.

    Raises:
        PipelineError: A band has no pixel with data.
    """
    reader = open_chunks(store / group / modality)
    nodata, unit = (S1_NODATA, S1_STEP_DB) if modality == "s1" else (S2_NODATA, 1.0)
    names = [band.name for band in cube_bands(_SENSORS[modality])]
    sums_3C = np.zeros((3, len(names)))
    tile = np.empty(reader.item_shape, reader.dtype)
    places = np.linspace(0, len(samples) - 1, min(len(samples), _MOST_TILES)).round().astype(int)
    for sample in samples[places]:
        reader.read_into(tile, int(sample), 0)
        values = tile.astype(np.float64)
        values[tile == nodata] = np.nan
        present = tile != nodata
        sums_3C += [
            present.sum((1, 2)),
            np.nansum(values, (1, 2)),
            np.nansum(values**2, (1, 2)),
        ]
    count_C, total_C, squares_C = sums_3C
    if not count_C.all():
        empty = ", ".join(np.array(names)[count_C == 0])
        raise PipelineError(f"{store} has no data in {empty}; build or import it again")
    mean_C = total_C / count_C
    std_C = np.sqrt(np.maximum(squares_C / count_C - mean_C**2, 0))
    return {
        name: {"mean": float(mean * unit), "std": float(std * unit)}
        for name, mean, std in zip(names, mean_C, std_C, strict=True)
    }
