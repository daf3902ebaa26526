r"""Land cover as a cloud-optimised GeoTIFF: ``python -m training.predict --network FILE ...``.

For one tile of a store, or for scenes in files; two networks, one for each sensor, are averaged.
Windows overlap and are blended, and memory does not grow with the number of rows.

    python -m training.predict --network s2.safetensors --store dw.zarr --sample 3 --output map.tif
    python -m training.predict --network s1.safetensors --network s2.safetensors \
        --s1 scene_s1.tif --s2 scene_s2.tif --output map.tif
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
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
from torch import nn

from pipeline.errors import PipelineError, run_step
from pipeline.legend import UNLABELLED
from training.blending import Window, blended_strips
from training.inputs import InputScaling
from training.scenes import FileScene, Ground, Scene, StoreScene
from training.trained_network import NetworkDescription, read_network

_BLOCK = 512
"""Rows and columns of a block of the file."""


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
        """Class shares (C, H, W) of a window, and where (H, W) there was data."""
        values, present = self.scene.read(window)
        image_BCHW = self.scaling(torch.from_numpy(values).to(self.device)[None])
        shares_CHW = self.network(image_BCHW)[0].float().softmax(0).cpu().numpy()
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
        for strip in strips:
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


def open_predictors(
    networks: Sequence[Path],
    files: dict[str, list[Path]],
    store: tuple[Path, str, int] | None,
    offset: float,
    device: torch.device,
    stack: ExitStack,
) -> tuple[list[Predictor], Ground, NetworkDescription]:
    """Networks with the pixels each needs, on one grid: Sentinel-2's where there is one.

    Args:
        networks: Files of `training.trained_network`.
        files: By modality, if scenes are to be predicted.
        store: Folder, group and sample, if a tile is.
        offset: Added to Sentinel-2 values of files.
        device: To predict on.
        stack: Closes the files.

    Raises:
        PipelineError: A network lacks its scene, or networks know different classes.
    """
    read = [read_network(path) for path in networks]
    read.sort(key=lambda one: one[1].contract.modality, reverse=True)
    first = read[0][1]
    ground: Ground | None = None
    predictors = []
    for network, description in read:
        contract = description.contract
        if description.classes != first.classes:
            raise PipelineError("the networks know different classes; give networks of one task")
        scene: StoreScene | FileScene
        if store is not None:
            scene = StoreScene(*store, contract)
        elif files.get(contract.modality):
            scene = stack.enter_context(
                FileScene(files[contract.modality], contract, ground, offset)
            )
        else:
            raise PipelineError(
                f"a network takes {contract.modality}; give its scene with --{contract.modality}"
            )
        ground = ground or scene.ground
        scaling = InputScaling(contract).to(device)
        predictors.append(Predictor(network.to(device), scaling, scene, device))
    assert ground is not None  # noqa: S101  (argparse asks for at least one network)
    return predictors, ground, first


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of ``python -m training.predict``."""
    parser = argparse.ArgumentParser(
        prog="python -m training.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--network", type=Path, required=True, action="append")
    parser.add_argument("--store", type=Path, help="a tile store")
    parser.add_argument("--group", default="test", help="group of the store")
    parser.add_argument("--sample", type=int, help="tile of the group")
    parser.add_argument("--s1", type=Path, nargs="+", default=[], help="files of a scene, dB")
    parser.add_argument("--s2", type=Path, nargs="+", default=[], help="files of a scene")
    parser.add_argument("--s2-offset", type=float, default=0.0, help="added to Sentinel-2 values")
    parser.add_argument("--window", type=int, default=512, help="pixels predicted at once")
    parser.add_argument("--overlap", type=int, default=64, help="pixels that windows share")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--output", type=Path, required=True, help="map.tif")
    options = parser.parse_args(arguments)
    if (options.store is None) == (not options.s1 and not options.s2):
        raise PipelineError("give either --store with --sample, or --s1 and --s2")
    if options.store is not None and options.sample is None:
        raise PipelineError("give the tile of the store with --sample")
    store = (options.store, options.group, options.sample) if options.store else None
    with ExitStack() as stack:
        predictors, ground, description = open_predictors(
            options.network,
            {"s1": options.s1, "s2": options.s2},
            store,
            options.s2_offset,
            torch.device(options.device),
            stack,
        )
        predict_to_file(
            options.output, predictors, ground, description, options.window, options.overlap
        )
    rows, columns = ground.shape
    print(f"{rows} x {columns} pixels of land cover in {options.output}", flush=True)


if __name__ == "__main__":
    run_step(main)
