"""Imports NoLDO-S12 as released: ``python -m pipeline.importers.noldo``.

Three subsets, each from its own archive or folder:

- ``nol``: noisy label masks ``<id>/<scene>/label.tif``, into a store of SSL4EO-S12 that
  `pipeline.importers.ssl4eo` made; matched by location id and Sentinel-2 scene.
- ``dw``, ``osm``: expert tiles ``<subset>_<split>/<image_s1|image_s2|label_dw|label_osm>/``
  ``<s1|s2|dw|osm>_<lon>_<lat>-<date>.tif``, into a store of tiles of their own.

Source: https://github.com/zhu-xlab/CromSS, ``data_prepare``: ``read_dw_data_to_lmdb.py`` and
``write_labels_to_lmdb.py``.
"""

from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import PipelineError, run_step
from pipeline.importers.command import import_parser, show_summary
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
    workers: int = 1,
) -> str:
    """Import one subset; its summary.

    Args:
        subset: ``nol``, ``dw`` or ``osm``.
        sources: Folders, archives, or both.
        store: For ``nol`` the store of SSL4EO-S12 to add labels to, else the store to make.
        harmonise: Remove the radiometric offset of later baselines where it is found.
        numbering: Of the OSM classes in the files: ``released``, or that of the ``paper``.
        shard_size: Tiles in one shard.
        workers: Processes that compress and write tiles.

    Raises:
        PipelineError: Nothing to import, another store in the way, labels that cannot be right.
    """
    if subset == "nol":
        return import_noisy_labels(sources, store)
    if subset not in ("dw", "osm"):
        raise PipelineError(f"subset {subset!r} is none of nol, dw, osm")
    release = noldo_tiles(subset, harmonise, numbering)
    return import_tiles(sources, store, release, shard_size, workers)


def main(arguments: Sequence[str] | None = None) -> None:
    """Import from the command line."""
    parser = import_parser("noldo", __doc__, TILES_PER_SHARD)
    parser.add_argument(
        "--subset",
        choices=["nol", "dw", "osm"],
        required=True,
        help="nol: --store is the store of SSL4EO-S12 that gets the labels",
    )
    parser.add_argument(
        "--osm-numbering",
        choices=["released", "paper"],
        default="released",
        help="numbers of the OSM classes in the files; checked against Dynamic World",
    )
    options = parser.parse_args(arguments)
    harmonise = options.s2_values == "harmonised"
    text = import_noldo(
        options.subset,
        options.source,
        options.store,
        harmonise,
        options.osm_numbering,
        options.shard_size,
        options.workers,
    )
    show_summary(text, options.summary)


if __name__ == "__main__":
    run_step(main)
