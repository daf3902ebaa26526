"""Mean and spread of the bands of a task's training tiles.

They scale the input of encoders that have no scaling of their own: random and ImageNet weights.
"""

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.pixel_sums import Sums, pixels_with_data
from pipeline.season_pixels import S1_NODATA, S2_NODATA
from pipeline.sensors import cube_bands
from pipeline.store.create import read_attributes
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

    As the store has recorded them (`pipeline.tile_statistics`); of a store that has not, an
    imported one, evenly spaced tiles are read.

    Args:
        store: Folder of a tile store.
        group: Its training group.
        modality: Whose bands.
        samples: Valid tiles of the group.

    Returns:
        By band "mean" and "std", in dB or reflectance x 10000.

    Raises:
        PipelineError: A band has no pixel with data.
    """
    names = [band.name for band in cube_bands(_SENSORS[modality])]
    statistics = (read_attributes(store) or {}).get("statistics", {})
    recorded = statistics.get("bands", {}).get(group, {}).get("all", {})
    if not set(names) <= recorded.keys():
        recorded = _computed(store, group, modality, samples)
    empty = ", ".join(name for name in names if name not in recorded)
    if empty:
        raise PipelineError(f"{store} has no data in {empty}; build or import it again")
    return {name: {key: float(recorded[name][key]) for key in ("mean", "std")} for name in names}


def _computed(
    store: StorePath, group: str, modality: Modality, samples: NDArray[np.int64]
) -> dict[str, dict[str, float | int]]:
    """The figures of each band that has data, over some of the tiles."""
    reader = open_chunks(store / group / modality)
    nodata, unit = (S1_NODATA, S1_STEP_DB) if modality == "s1" else (S2_NODATA, 1.0)
    names = [band.name for band in cube_bands(_SENSORS[modality])]
    places = np.linspace(0, len(samples) - 1, min(len(samples), _MOST_TILES)).round().astype(int)
    tile = np.empty((1, *reader.item_shape), reader.dtype)
    sums = Sums()
    for sample in samples[places]:
        reader.read_into(tile[0], int(sample))
        sums.add_scenes([(group, 0)], names, tile, pixels_with_data(modality, tile, nodata))
    reader.close()
    return {band: total.figures(unit) for (_, _, band), total in sums.bands.items()}
