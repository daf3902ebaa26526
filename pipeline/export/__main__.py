"""Give a finished store to other tools: ``python -m pipeline.export geotiff nol.zarr ...``.

Three forms: ``geotiff`` for QGIS, ``webdataset`` for streams of training samples, ``hub_folder``
for a dataset repository of the Hugging Face Hub. Each goes on where it was interrupted.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.errors import PipelineError, run_step
from pipeline.export.choice import Choice, choose
from pipeline.export.geotiff import GeotiffExport, export_geotiffs
from pipeline.export.hub_folder import dataset_files, place_files, undelivered
from pipeline.export.hub_limits import check_limits, check_repository, listing, upload_command
from pipeline.export.store_group import StoreGroup, open_groups
from pipeline.export.tar_shards import export_webdataset
from pipeline.store.object_path import store_path

SHARD_MB = 500
"""Default size of a tar shard: large enough to read in one go, small enough to move."""

_SHARD_MB_MAX = 1_000_000


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of ``python -m pipeline.export``."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.export", description=__doc__.split("\n", 1)[0]
    )
    forms = parser.add_subparsers(dest="form", required=True)
    _add_geotiff(forms)
    _add_webdataset(forms)
    _add_hub_folder(forms)
    options = parser.parse_args(arguments)
    carry_out: Callable[[argparse.Namespace], None] = options.carry_out
    carry_out(options)


def _add_geotiff(forms: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    form = forms.add_parser("geotiff", help="cloud-optimised GeoTIFFs of samples, for QGIS")
    _add_choice(form)
    form.add_argument(
        "--s2", choices=("cube", "native"), default="cube",
        help="13 bands at 10 m in one file, or one file per resolution",
    )  # fmt: skip
    form.set_defaults(carry_out=_geotiff)


def _add_webdataset(forms: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    form = forms.add_parser("webdataset", help="tar shards of samples, for the webdataset library")
    _add_choice(form)
    form.add_argument("--shard-mb", type=float, default=SHARD_MB, help="size of a shard at most")
    form.set_defaults(carry_out=_webdataset)


def _add_hub_folder(forms: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    form = forms.add_parser("hub_folder", help="a folder for a dataset repository of the Hub")
    form.add_argument("results", type=Path, help="folder of the dataset, e.g. results/demo")
    form.add_argument("--output", type=Path, required=True, help="folder to make")
    form.add_argument("--stores", nargs="+", default=[], help="e.g. nol dw; by default all")
    form.add_argument("--repository", default="owner/name", help="owner/name on the Hub")
    form.add_argument("--dry-run", action="store_true", help="list only, make nothing")
    form.set_defaults(carry_out=_hub_folder)


def _add_choice(form: argparse.ArgumentParser) -> None:
    form.add_argument("store", type=store_path, help="e.g. results/demo/nol.zarr, or a URL")
    form.add_argument("--output", type=Path, required=True, help="folder of the export")
    form.add_argument("--ids", nargs="+", default=[], help="samples by id; by default all")
    form.add_argument(
        "--bbox", nargs=4, type=float, metavar=("WEST", "SOUTH", "EAST", "NORTH"),
        help="samples whose centre lies in the box, degrees",
    )  # fmt: skip
    form.add_argument("--split", help="train, validation or test")
    form.add_argument("--workers", type=int, default=1, help="processes")


def _geotiff(options: argparse.Namespace) -> None:
    groups = open_groups(options.store)
    chosen = choose(groups, _choice(options))
    export = GeotiffExport(options.store, options.output, options.s2)
    written = export_geotiffs(export, groups, chosen, options.workers)
    print(f"{_origin(groups)}{len(chosen):,} samples, {written:,} new files in {options.output}")


def _webdataset(options: argparse.Namespace) -> None:
    if not options.shard_mb >= 1 or options.shard_mb > _SHARD_MB_MAX:
        raise PipelineError(f"--shard-mb {options.shard_mb:g}: give 1 to {_SHARD_MB_MAX}")
    shard_bytes = int(options.shard_mb * 1e6)
    choice = _choice(options)
    shards = export_webdataset(options.store, options.output, choice, shard_bytes, options.workers)
    count = sum(len(shard.samples) for shard in shards)
    origin = _origin(open_groups(options.store))
    print(f"{origin}{count:,} samples in {len(shards):,} shards in {options.output}")


def _hub_folder(options: argparse.Namespace) -> None:
    repository = check_repository(options.repository)
    files = dataset_files(options.results, options.stores)
    advice = check_limits(files)
    if missing := undelivered(options.results, options.stores):
        advice.append(
            f"the card may describe {', '.join(missing)}, too; write one for these stores alone by "
            "`python -m pipeline.metadata.card --stores`"
        )
    print(listing(files))
    for line in advice:
        print(f"note: {line}")
    if not options.dry_run:
        place_files(files, options.output)
    print("nothing was sent; to upload (after `hf auth login`):")
    print(upload_command("dataset", repository, options.output))


def _choice(options: argparse.Namespace) -> Choice:
    if options.workers < 1:
        raise PipelineError(f"--workers {options.workers}: give 1 or more")
    box = tuple(options.bbox) if options.bbox else None
    return Choice(tuple(options.ids), box, options.split)


def _origin(groups: Sequence[StoreGroup]) -> str:
    return "SIMULATED data, " if groups[0].simulated else ""


if __name__ == "__main__":
    run_step(main)
