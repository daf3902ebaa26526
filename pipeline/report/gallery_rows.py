"""Samples to look at: some that stand out for the worse, some drawn at random."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pipeline.gallery import (
    Panel,
    date_title,
    edges,
    place_text,
    sample_dates,
    sample_gallery,
    sample_panels,
)
from pipeline.report.charts import WARNING_INK
from pipeline.report.contents import Contents, StoreContents
from pipeline.report.pictures import SIMULATED_MARK, Picture, embed_image, save_image
from pipeline.store.groups import group_names
from pipeline.store.reader import open_store
from pipeline.verify.findings import Finding

SAMPLES = {"nol": 12, "dw": 6, "osm": 6}
"""Samples shown of each store: a page one can scroll through, whatever the size of the build."""

_SEASON_PIXELS = 184
_TILE_PIXELS = 280
_EDGE_PIXELS = 264
"""Of one date: enlarged thumbnails, whole tiles, and edges, whose detail is the point."""

_GAP = 4
_SMOOTH = Image.Resampling.LANCZOS
_STEPWISE = Image.Resampling.NEAREST
_LABEL_TITLES = ("label", "OSM land use", "Dynamic World")


@dataclass(frozen=True)
class Choice:
    """A sample that is shown.

    Attributes:
        group: Group of the store, empty where it has none.
        index: Position in the group.
        why: Why this one.
    """

    group: str
    index: int
    why: str


@dataclass(frozen=True)
class Strip:
    """One kind of picture of a sample, all its dates side by side.

    Attributes:
        title: What it shows.
        picture: The picture.
        wide: Whether it is shown as wide as the page.
    """

    title: str
    picture: Picture
    wide: bool


@dataclass(frozen=True)
class GallerySample:
    """A sample as the page shows it.

    Attributes:
        store: Name of the store.
        sample_id: Its id.
        why: Why it is shown.
        place: Coordinates as text.
        dates: Days of its Sentinel-2 scenes.
        strips: Its pictures.
        file: Full-size picture beside the page.
        findings: What ``verify`` found about it: of each check the first finding and their number.
    """

    store: str
    sample_id: str
    why: str
    place: str
    dates: tuple[str, ...]
    strips: tuple[Strip, ...]
    file: str
    findings: tuple[tuple[Finding, int], ...]


def gallery(contents: Contents, folder: Path) -> Iterator[GallerySample]:
    """The samples of all stores, one in memory at a time.

    Args:
        contents: What is told of the build.
        folder: Of the page; full-size pictures go to ``gallery`` in it.
    """
    for store in contents.stores.values():
        datasets = {group: open_store(store.path, group or None) for group in _groups(store)}
        for choice in choose_samples(contents, store, datasets):
            sample = datasets[choice.group].isel(sample=choice.index).load()
            name = "_".join(filter(None, [store.name, choice.group, f"{choice.index:06d}"]))
            yield _shown(store, sample, choice, folder, name)


def choose_samples(
    contents: Contents, store: StoreContents, datasets: Mapping[str, xr.Dataset]
) -> list[Choice]:
    """Samples with findings first, then those that stand out, then random ones.

    A third of the places goes to each kind; what one kind does not use, random samples get.
    """
    count = SAMPLES[store.name]
    valid = {group: np.flatnonzero(data["valid"].values) for group, data in datasets.items()}
    chosen: dict[tuple[str, int], Choice] = {}
    for kind in (_flagged(store, datasets), _worst(contents, store, datasets, valid)):
        fresh = (one for one in kind if (one.group, one.index) not in chosen)
        for choice in islice(fresh, count // 3):
            chosen[choice.group, choice.index] = choice
    everyone = [(group, int(row)) for group, rows in valid.items() for row in rows]
    order = np.random.default_rng(contents.settings.seed).permutation(len(everyone))
    for number in order:
        if len(chosen) >= count:
            break
        group, index = everyone[number]
        chosen.setdefault((group, index), Choice(group, index, "drawn at random"))
    return list(chosen.values())


def _groups(store: StoreContents) -> list[str]:
    return list(group_names(store.path, store.attributes))


def _flagged(store: StoreContents, datasets: Mapping[str, xr.Dataset]) -> Iterator[Choice]:
    """Samples with findings: first one of each check, then the second of each, and so on."""
    findings = store.verification.findings if store.verification else ()
    samples: dict[str, dict[str, None]] = {}
    for finding in findings:
        samples.setdefault(finding.check, {})[finding.sample_id] = None
    ranked = zip_longest(*samples.values(), fillvalue="")
    for sample_id in filter(None, (one for row in ranked for one in row)):
        for group, data in datasets.items():
            for index in np.flatnonzero(data["id"].values == sample_id):
                if bool(data["valid"].values[index]):
                    yield Choice(group, int(index), "verification found something")


def _worst(
    contents: Contents,
    store: StoreContents,
    datasets: Mapping[str, xr.Dataset],
    valid: Mapping[str, NDArray[np.intp]],
) -> Iterator[Choice]:
    if store.name == "nol":
        for share, index in contents.least_agreeing:
            why = f"seasons agree least: {share:.0%} of the pixels keep their class"
            yield Choice("", index, why)
        return
    array, text, sign = (
        ("agreement", "agrees least with Dynamic World: {:.0%}", 1)
        if store.name == "osm"
        else ("cloud_cover", "cloudiest scene: {:.0f} %", -1)
    )
    values = []
    for group, data in datasets.items():
        known = data[array].values
        values += [
            (sign * float(known[row]), group, int(row))
            for row in valid[group]
            if np.isfinite(known[row])
        ]
    for value, group, row in sorted(values)[: SAMPLES[store.name]]:
        yield Choice(group, row, text.format(sign * value))


def _shown(
    store: StoreContents, sample: xr.Dataset, choice: Choice, folder: Path, name: str
) -> GallerySample:
    sample_id = str(sample["id"].item())
    place = place_text(sample["lon"].item(), sample["lat"].item(), digits=4)
    mark = f"{SIMULATED_MARK}  " if store.simulated else ""
    file = f"gallery/{name}.png"
    save_image(sample_gallery(sample, f"{mark}{sample_id}  {place}"), folder / file)
    dates = sample_dates(sample)
    return GallerySample(
        store=store.name,
        sample_id=sample_id,
        why=choice.why,
        place=place,
        dates=tuple(date_title(date) for date in dates),
        strips=tuple(_strips(store, sample, name)),
        file=file,
        findings=_findings_of(store, sample_id),
    )


def _findings_of(store: StoreContents, sample_id: str) -> tuple[tuple[Finding, int], ...]:
    everything = store.verification.findings if store.verification else ()
    own = [finding for finding in everything if finding.sample_id == sample_id]
    counts = Counter(finding.check for finding in own)
    first = {finding.check: finding for finding in reversed(own)}
    return tuple((first[check], count) for check, count in counts.items())


def _strips(store: StoreContents, sample: xr.Dataset, name: str) -> Iterator[Strip]:
    dates = sample_dates(sample)
    pixels = _SEASON_PIXELS if len(dates) > 1 else _TILE_PIXELS
    for number, panel in enumerate(sample_panels(sample)):
        size = _EDGE_PIXELS if panel.draw is edges else pixels
        strip = _side_by_side([_draw(panel, date, size) for date in dates])
        if store.simulated:
            _mark(strip)
        wide = panel.draw is edges and len(dates) > 1
        yield Strip(panel.title, embed_image(strip, f"{name}_{number}"), wide)


def _draw(panel: Panel, date: xr.Dataset, pixels: int) -> Image.Image:
    how = _STEPWISE if panel.title in _LABEL_TITLES else _SMOOTH
    return Image.fromarray(panel.draw(date)).resize((pixels, pixels), how)


def _side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    width, height = pictures[0].size
    strip = Image.new("RGB", (len(pictures) * (width + _GAP) - _GAP, height), "white")
    for number, picture in enumerate(pictures):
        strip.paste(picture, (number * (width + _GAP), 0))
    return strip


def _mark(strip: Image.Image) -> None:
    """The word at the lower left, on a ground of its own."""
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(11)
    box = draw.textbbox((4, strip.height - 16), SIMULATED_MARK, font=font)
    draw.rectangle((box[0] - 3, box[1] - 2, box[2] + 3, box[3] + 2), fill="white")
    draw.text((4, strip.height - 16), SIMULATED_MARK, fill=WARNING_INK, font=font)
