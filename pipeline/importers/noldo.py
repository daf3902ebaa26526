"""Imports NoLDO-S12 as released: ``python -m pipeline.importers.noldo``.

Three subsets, each from its own archive or folder:

- ``nol``: noisy label masks ``<id>/<scene>/label.tif``, into a store of SSL4EO-S12 that
  `pipeline.importers.ssl4eo` made; matched by location id and Sentinel-2 scene.
- ``dw``, ``osm``: expert tiles ``<subset>_<split>/<image_s1|image_s2|label_dw|label_osm>/``
  ``<s1|s2|dw|osm>_<lon>_<lat>-<date>.tif``, into a store of tiles of their own.

Source: https://github.com/zhu-xlab/CromSS, ``data_prepare``: ``read_dw_data_to_lmdb.py`` and
``write_labels_to_lmdb.py``.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import PipelineError, run_step
from pipeline.importers.noldo_labels import import_noisy_labels
from pipeline.importers.noldo_tiles import Numbering, noldo_tiles
from pipeline.importers.tile_import import import_tiles
from pipeline.store.tile_layout import TILES_PER_SHARD


def import_noldo(
    subset: str,
    sources: Sequence[Path],
    store: Path,
    harmonise: bool = True,
    numbering: Numbering = "released",
    shard_size: int = TILES_PER_SHARD,
) -> str:
    """Import one subset; its summary.

    Args:
        subset: ``nol``, ``dw`` or ``osm``.
        sources: Folders, archives, or both.
        store: For ``nol`` the store of SSL4EO-S12 to add labels to, else the store to make.
        harmonise: Remove the radiometric offset of later baselines where it is found.
        numbering: Of the OSM classes in the files: ``released``, or that of the ``paper``.
        shard_size: Tiles in one shard.

    Raises:
        PipelineError: Nothing to import, another store in the way, labels that cannot be right.
    """
    if subset == "nol":
        return import_noisy_labels(sources, store)
    if subset not in ("dw", "osm"):
        raise PipelineError(f"subset {subset!r} is none of nol, dw, osm")
    return import_tiles(sources, store, noldo_tiles(subset, harmonise, numbering), shard_size)


def main(arguments: Sequence[str] | None = None) -> None:
    """Import from the command line."""
    parser = argparse.ArgumentParser("python -m pipeline.importers.noldo", description=__doc__)
    parser.add_argument("--subset", choices=["nol", "dw", "osm"], required=True)
    parser.add_argument("--source", type=Path, nargs="+", required=True, help="folders, archives")
    parser.add_argument(
        "--store", type=Path, required=True, help="nol: the SSL4EO-S12 store to add labels to"
    )
    parser.add_argument("--s2-values", choices=["harmonised", "published"], default="harmonised")
    parser.add_argument(
        "--osm-numbering",
        choices=["released", "paper"],
        default="released",
        help="numbers of the OSM classes in the files; checked against Dynamic World",
    )
    parser.add_argument("--shard-size", type=int, default=TILES_PER_SHARD, help="tiles in a shard")
    options = parser.parse_args(arguments)
    harmonise = options.s2_values == "harmonised"
    text = import_noldo(
        options.subset,
        options.source,
        options.store,
        harmonise,
        options.osm_numbering,
        options.shard_size,
    )
    print(text, end="")


if __name__ == "__main__":
    run_step(main)
