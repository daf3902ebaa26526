"""``ee.Image``: loading, selecting, naming and joining bands."""

import re
from typing import Any

from pipeline.simulator.collection import PUBLIC_ASSETS
from pipeline.simulator.graph import implements
from pipeline.simulator.image import Image, constant_image, scene_image
from pipeline.simulator.raster import Band
from pipeline.simulator.refusal import (
    BAD_REQUEST,
    EarthEngineError,
    missing_asset,
    not_implemented,
)
from pipeline.simulator.scene import Archive


@implements("Image.load")
def _load(id: str, version: int | None, archive: Archive) -> Image:
    scene = archive.get(id.removeprefix(PUBLIC_ASSETS))
    if scene is None:
        raise missing_asset(id, "Image.load: Image asset", BAD_REQUEST)
    return scene_image(scene)


@implements("Image.constant")
def _constant(value: Any) -> Image:
    return constant_image(value)


def select_bands(image: Image, selectors: list[Any]) -> Image:
    """The bands that names, patterns or positions select, in that order.

    Raises:
        EarthEngineError: A selector fits no band, or a band is selected twice.
    """
    selected = [band for s in selectors for band in _selected(image, s)]
    _refuse_twins([band.name for band in selected])
    return image.with_bands(selected)


def _selected(image: Image, selector: Any) -> list[Band]:
    if isinstance(selector, int) and -len(image.bands) <= selector < len(image.bands):
        return [image.bands[selector]]
    found = [band for band in image.bands if re.fullmatch(str(selector), band.name)]
    if not found:
        raise EarthEngineError(
            f"Image.select: Band pattern '{selector}' did not match any bands. "
            f"Available bands: [{', '.join(image.band_names)}]"
        )
    return found


@implements("Image.select")
def _select(input: Image, bandSelectors: list[Any], newNames: list[str] | None) -> Image:
    selected = select_bands(input, bandSelectors)
    return selected if newNames is None else _renamed(selected, newNames, "Image.select")


@implements("Image.rename")
def _rename(input: Image, names: list[str]) -> Image:
    return _renamed(input, names, "Image.rename")


def _renamed(image: Image, names: list[str], where: str) -> Image:
    if len(names) != len(image.bands):
        raise EarthEngineError(
            f"{where}: The number of names ({len(names)}) must match "
            f"the number of bands ({len(image.bands)})."
        )
    _refuse_twins(names)
    return image.with_bands(
        band.renamed(name) for band, name in zip(image.bands, names, strict=True)
    )


def _refuse_twins(names: list[str]) -> None:
    """An answer would have one field where two bands share a name."""
    for name in names:
        if names.count(name) > 1:
            raise not_implemented(f"an image of two bands '{name}'")


@implements("Image.addBands")
def _add_bands(dstImg: Image, srcImg: Image, names: list[str] | None, overwrite: bool) -> Image:
    added = srcImg if names is None else select_bands(srcImg, names)
    bands = {band.name: band for band in dstImg.bands}
    for band in added.bands:
        name = band.name if overwrite else _free_name(band.name, bands)
        bands[name] = band.renamed(name)
    return dstImg.with_bands(bands.values())


def _free_name(name: str, taken: dict[str, Band]) -> str:
    """The name, or the name with the first free number."""
    candidate, number = name, 1
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    return candidate


@implements("Image.bandNames")
def _band_names(image: Image) -> list[str]:
    return image.band_names
