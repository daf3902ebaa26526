# Where the stores of expert labels and what leads to them lie, and how many shards there are.

import hashlib

from pipeline.dynamic_world.store import DW_ARRAYS, SPLITS
from pipeline.dynamic_world.tile_table import read_tiles_table
from pipeline.store.tiles import tile_shard_files

# what says that a store of tiles is finished, but for its statistics
TILE_STORES = {"dw": f"{FOLDER}/dw.index.parquet", "osm": f"{FOLDER}/osm.summary.txt"}
DW_STORE = f"{FOLDER}/dw.zarr"
OSM_STORE = f"{FOLDER}/osm.zarr"
DW_SHARD_SIZE = SETTINGS.dynamic_world.shard_size
DW_SHARD_FILES = [
    file.as_posix() for file in tile_shard_files(Path(DW_STORE), "{split}", "{shard}", DW_ARRAYS)
]


def dw_folder(wildcards):
    """The Zarr store that shards of expert tiles are written into."""
    return DW_STORE


def osm_folder(wildcards):
    """The Zarr store of OSM labels."""
    return OSM_STORE


def dw_ledgers(wildcards):
    """The folder of the commit records of the shards of expert tiles."""
    return f"{FOLDER}/dw/shards"


def picture_folder(wildcards):
    """The raw land-use pictures, kept with their provenance."""
    return f"{FOLDER}/osm/pictures"


def tile_sources():
    """Where the expert tiles come from: no byte depends on it, but other files may lie there."""
    names = {"train", "test", "train_checksum", "test_checksum", "test_metadata"}
    return SETTINGS.dynamic_world.model_dump(mode="json", include=names)


def label_files(wildcards):
    """A digest of names, sizes and ages of local tiles, or archives: what is new is listed."""
    sources = (SETTINGS.dynamic_world.train, SETTINGS.dynamic_world.test)
    digest = hashlib.sha256()
    for source in map(Path, filter(None, sources)):
        for file in [source] if source.is_file() else sorted(source.rglob("*")):
            status = file.lstat()
            digest.update(f"{file} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def decisions(wildcards):
    """The file of vetoes and the corrected labels that it names."""
    vetoes = SETTINGS.osm_landuse.vetoes
    if vetoes is None or not vetoes.exists():
        return [str(vetoes)] if vetoes else []
    from pipeline.osm_landuse.vetoes import veto_files  # late: it imports rasterio

    try:
        return [str(file) for file in veto_files(vetoes)]
    except PipelineError as error:
        raise WorkflowError(str(error)) from None


def dw_shards(pattern):
    """An input function: a pattern of shard files, filled in for every shard once they are known."""

    def filled(wildcards):
        tiles = read_tiles_table(Path(checkpoints.list_expert_tiles.get().output.tiles))
        shards = sorted({(tile.split, tile.sample // DW_SHARD_SIZE) for tile in tiles})
        return [pattern.format(split=split, shard=shard) for split, shard in shards]

    return filled
