r"""Land cover as a cloud-optimised GeoTIFF: ``python -m training.predict --network FILE ...``.

For a tile of a store or all of a group, or for scenes in files; two networks, one for each sensor,
are averaged.
Windows overlap and are blended, and memory does not grow with the number of rows.

    python -m training.predict --network s2.safetensors --store dw.zarr --sample 3 --output map.tif
    python -m training.predict --network s1.safetensors --network s2.safetensors \
        --s1 scene_s1.tif --s2 scene_s2.tif --output map.tif
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rasterio.shutil import copy as copy_raster
from rasterio.windows import Window as RasterWindow
from rich.progress import track
from torch import nn

from pipeline.errors import PipelineError, run_step
from pipeline.legend import UNLABELLED
from pipeline.store.object_path import StorePath, store_path
from training.downstream.task_tiles import valid_tiles
from training.downstream.trained_network import NetworkDescription, read_network
from training.loading.inputs import InputScaling
from training.maps.blending import Window, blended_strips
from training.maps.scenes import FileScene, Ground, Scene, StoreScene

_BLOCK = 512
"""Rows and columns of a block of the file."""

_CACHE_MB = 64
"""Blocks that GDAL keeps for files that are read."""

_TELLING_S = 5.0
"""Seconds between two lines about how far a map is."""


@dataclass(frozen=True)
class Predictor:
    """A network with the pixels it looks at.

    Attributes:
        network: In evaluation mode, on its device.
        scaling: Of its input.
        scene: Where its pixels come from.
        device: Of the network.
    """

    network: nn.Module
    scaling: InputScaling
    scene: Scene
    device: torch.device

    @torch.inference_mode()
    def shares(self, window: Window) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Class shares (C, H, W) of a window, and where (H, W) there was data.

        Raises:
            PipelineError: The network gives anything but numbers.
        """
        values, present = self.scene.read(window)
        image_BCHW = self.scaling(torch.from_numpy(values).to(self.device)[None])
        shares_CHW = self.network(image_BCHW)[0].float().softmax(0).cpu().numpy()
        if not np.isfinite(shares_CHW).all():
            raise PipelineError(
                f"the network gives values that are no numbers from row {window.row}, column "
                f"{window.column} on; check the unit of the scene and the network's weights"
            )
        return shares_CHW, present


def predict_to_file(
    path: Path,
    predictors: Sequence[Predictor],
    ground: Ground,
    description: NetworkDescription,
    size: int = 512,
    overlap: int = 64,
) -> None:
    """Write the class of every pixel as a cloud-optimised GeoTIFF, 255 where there is no data.

    Args:
        path: Of the file.
        predictors: Whose class shares are averaged; all of the same classes.
        ground: Grid of the file.
        description: Of the networks: classes, colours, where they come from.
        size: Rows and columns of a window.
        overlap: Least number of pixels that neighbouring windows share.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        plain, optimised = Path(folder, "plain.tif"), Path(folder, "cog.tif")
        _write_plain(plain, predictors, ground, description, size, overlap)
        copy_raster(
            plain, optimised, driver="COG", compress="deflate", blocksize=_BLOCK,
            overview_resampling="mode",
        )  # fmt: skip
        with optimised.open("rb") as written:
            os.fsync(written.fileno())
        optimised.replace(path)


def _write_plain(
    path: Path,
    predictors: Sequence[Predictor],
    ground: Ground,
    description: NetworkDescription,
    size: int,
    overlap: int,
) -> None:
    """A tiled GeoTIFF, strip by strip."""
    rows, columns = ground.shape
    present_HW = np.zeros((min(size, rows), columns), bool)
    top = 0

    def predict(window: Window) -> NDArray[np.float32]:
        nonlocal top
        if window.row != top:
            present_HW[: -(window.row - top)] = present_HW[window.row - top :].copy()
            top = window.row
        parts = [predictor.shares(window) for predictor in predictors]
        place = (slice(None), slice(window.column, window.column + window.width))
        present_HW[place] = np.logical_and.reduce([present for _, present in parts])
        mean: NDArray[np.float32] = np.mean([shares for shares, _ in parts], axis=0)
        return mean

    with rasterio.open(path, "w", **_profile(ground)) as file:
        file.write_colormap(1, _color_map(description))
        file.set_band_description(1, "land cover")
        file.update_tags(**_tags(description))
        strips = blended_strips(ground.shape, len(description.classes), size, overlap, predict)
        told = time.monotonic()
        for strip in strips:
            if time.monotonic() - told > _TELLING_S:
                told = time.monotonic()
                print(f"{strip.row} of {rows} rows", flush=True)
            height = strip.shares_CHW.shape[1]
            classes = strip.shares_CHW.argmax(0).astype(np.uint8)
            classes[~present_HW[:height]] = UNLABELLED
            file.write(classes, 1, window=RasterWindow(0, strip.row, columns, height))


def _profile(ground: Ground) -> dict[str, Any]:
    rows, columns = ground.shape
    return {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 1,
        "width": columns,
        "height": rows,
        "crs": ground.crs,
        "transform": ground.transform,
        "nodata": UNLABELLED,
        "tiled": True,
        "blockxsize": _BLOCK,
        "blockysize": _BLOCK,
        "compress": "deflate",
        "bigtiff": "if_safer",
    }


def _color_map(description: NetworkDescription) -> dict[int, tuple[int, int, int, int]]:
    colors = {
        number: (*bytes.fromhex(color.removeprefix("#")), 255)
        for number, color in enumerate(description.colors)
    }
    return colors | {UNLABELLED: (0, 0, 0, 0)}


def _tags(description: NetworkDescription) -> dict[str, str]:
    evaluation = ", ".join(f"{key} {value}" for key, value in description.evaluation.items())
    classes = " ".join(f"{number}:{name}" for number, name in enumerate(description.classes))
    tags = {"classes": classes, "network": f"{description.head} on {description.weights}"}
    return tags | {
        "trained_by": evaluation,
        "trained_on_simulated_data": str(description.simulated),
    }


def read_networks(paths: Sequence[Path]) -> list[tuple[nn.Module, NetworkDescription]]:
    """Networks of one task, that of Sentinel-2 first.

    Args:
        paths: Files of `training.downstream.trained_network`.

    Raises:
        PipelineError: A file is none, or the networks know different classes.
    """
    read: list[tuple[nn.Module, NetworkDescription]] = [read_network(path) for path in paths]
    if len({description.classes for _, description in read}) > 1:
        raise PipelineError("the networks know different classes; give networks of one task")
    return sorted(read, key=lambda one: one[1].contract.modality, reverse=True)


def map_tile(
    path: Path,
    networks: Sequence[tuple[nn.Module, NetworkDescription]],
    tile: tuple[StorePath, str, int],
    windows: tuple[int, int],
    device: torch.device,
) -> None:
    """Predict one tile of a store.

    Args:
        path: Of the map.
        networks: Of `read_networks`.
        tile: Store, group and sample.
        windows: Pixels predicted at once, and pixels that windows share.
        device: To predict on.

    Raises:
        PipelineError: There is no such tile, or the store lacks what a network takes.
    """
    scenes = [StoreScene(*tile, description.contract) for _, description in networks]
    predictors = _predictors(networks, scenes, device)
    predict_to_file(path, predictors, scenes[0].ground, networks[0][1], *windows)


def map_scenes(
    path: Path,
    networks: Sequence[tuple[nn.Module, NetworkDescription]],
    files: dict[str, list[Path]],
    offset: float,
    windows: tuple[int, int],
    device: torch.device,
) -> None:
    """Predict scenes in files, on the grid of Sentinel-2 where there is one.

    Args:
        path: Of the map.
        networks: Of `read_networks`.
        files: By modality.
        offset: Added to Sentinel-2 values.
        windows: Pixels predicted at once, and pixels that windows share.
        device: To predict on.

    Raises:
        PipelineError: A network lacks its scene, or a file is not fit for it.
    """
    with ExitStack() as stack:
        # GDAL would keep a twentieth of the memory's worth of blocks that are never read again.
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=_CACHE_MB))
        scenes: list[FileScene] = []
        for _, description in networks:
            modality = description.contract.modality
            if not files.get(modality):
                raise PipelineError(f"a network takes {modality}; give its scene with --{modality}")
            ground = scenes[0].ground if scenes else None
            scene = FileScene(files[modality], description.contract, ground, offset)
            scenes.append(stack.enter_context(scene))
        predictors = _predictors(networks, scenes, device)
        predict_to_file(path, predictors, scenes[0].ground, networks[0][1], *windows)


def _predictors(
    networks: Sequence[tuple[nn.Module, NetworkDescription]],
    scenes: Sequence[Scene],
    device: torch.device,
) -> list[Predictor]:
    return [
        Predictor(network.to(device), InputScaling(description.contract).to(device), scene, device)
        for (network, description), scene in zip(networks, scenes, strict=True)
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of ``python -m training.predict``."""
    parser = argparse.ArgumentParser(
        prog="python -m training.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--network", type=Path, required=True, action="append")
    parser.add_argument("--store", type=store_path, help="a tile store, on disk or at a URL")
    parser.add_argument("--group", default="test", help="group of the store")
    parser.add_argument("--sample", type=int, help="tile of the group; without, all of them")
    parser.add_argument("--s1", type=Path, nargs="+", default=[], help="files of a scene, dB")
    parser.add_argument("--s2", type=Path, nargs="+", default=[], help="files of a scene")
    parser.add_argument("--s2-offset", type=float, default=0.0, help="added to Sentinel-2 values")
    parser.add_argument("--window", type=int, default=512, help="pixels predicted at once")
    parser.add_argument("--overlap", type=int, default=64, help="pixels that windows share")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--output", type=Path, required=True, help="map, or folder for all tiles")
    options = parser.parse_args(arguments)
    if (options.store is None) == (not options.s1 and not options.s2):
        raise PipelineError("give either --store, with or without --sample, or --s1 and --s2")
    networks, device = read_networks(options.network), torch.device(options.device)
    windows = (options.window, options.overlap)
    if options.store is None:
        files = {"s1": options.s1, "s2": options.s2}
        map_scenes(options.output, networks, files, options.s2_offset, windows, device)
        maps = [options.output]
    else:
        maps = []
        for path, sample in _tiles(options.store, options.group, options.sample, options.output):
            tile = (options.store, options.group, sample)
            map_tile(path, networks, tile, windows, device)
            maps.append(path)
    print(f"{len(maps)} maps of land cover, the last in {maps[-1]}", flush=True)


def _tiles(
    store: StorePath, group: str, sample: int | None, output: Path
) -> Iterable[tuple[Path, int]]:
    """File and sample of each map."""
    if sample is not None:
        return [(output, sample)]
    samples = valid_tiles(store, group).tolist()
    named = [(output / f"{group}_{number:06d}.tif", number) for number in samples]
    return track(named, description="mapping tiles", disable=not sys.stderr.isatty())


if __name__ == "__main__":
    run_step(main)
