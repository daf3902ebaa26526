"""Where the candidates lie: an interactive map that needs no network, and the same as a chart.

Folium writes the map's script; Leaflet is in the page, and coast lines come from our own land mask.
Only the layer "online background", off at first, asks a server for tiles.
"""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files

import folium
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from pipeline.locations.land import is_land
from pipeline.report.charts import INK, QUIET, RULE
from pipeline.report.contents import Places
from pipeline.report.counts import KEPT
from pipeline.report.pictures import embed_image, file_uri

SHOWN_AT_MOST = 2_000
"""Places on the interactive map, per store; of more, evenly many by status are shown."""

KEPT_COLOR = "#0072b2"
REJECTED_COLORS = ("#d55e00", "#e69f00", "#cc79a7", "#f0e442", "#56b4e9", "#999999")
"""Okabe and Ito's colours; the most frequent reason comes first."""

_LAND = (222, 217, 207)
_SEA = (238, 243, 247)
_LAND_PIXELS = 512
_MERCATOR_LIMIT = 85.0
_ONLINE_TILES = "https://tiles.maps.eox.at/wmts/1.0.0/s2cloudless_3857/default/g/{z}/{y}/{x}.jpg"
_ONLINE_CREDIT = (
    "Sentinel-2 cloudless by EOX IT Services GmbH, CC BY 4.0 "
    "(contains modified Copernicus Sentinel data 2016 and 2017)"
)
"""Source: https://tiles.maps.eox.at, layer of 2016, the one under CC BY 4.0."""

_TITLES = {"nol": "Locations", "dw": "Expert tiles", "osm": "OSM tiles"}


@dataclass(frozen=True)
class MapParts:
    """An interactive map as parts of a page.

    Attributes:
        style: CSS of Leaflet and of the map.
        library: JavaScript of Leaflet.
        html: The map's element.
        script: What draws the map.
        shown: Places shown, by store.
        legend: What the map shows at first: text and colour.
    """

    style: Markup
    library: Markup
    html: Markup
    script: Markup
    shown: dict[str, int]
    legend: tuple[tuple[str, str], ...]


def status_colors(outcomes: Sequence[str]) -> dict[str, str]:
    """A colour for ``kept`` and for each reason, the most frequent reasons first."""
    names, counts = np.unique(np.array(outcomes, dtype=str), return_counts=True)
    by_count = sorted(zip(-counts, names, strict=True))
    reasons = [str(name) for _, name in by_count if name != KEPT]
    colors = [REJECTED_COLORS[min(i, len(REJECTED_COLORS) - 1)] for i in range(len(reasons))]
    return {KEPT: KEPT_COLOR} | dict(zip(reasons, colors, strict=True))


def interactive_map(stores: Sequence[Places]) -> MapParts:
    """The map of all candidates by store and status."""
    extent = map_extent(stores, margin=3.0)
    west, south, east, north = extent
    canvas = folium.Map(
        tiles=None, prefer_canvas=True, min_zoom=1, world_copy_jump=True, control_scale=True
    )
    # no script and no style from anywhere: the page holds Leaflet
    canvas.default_js, canvas.default_css = [], []
    root = folium.Figure()
    canvas.add_to(root)
    folium.raster_layers.ImageOverlay(
        image=embed_image(Image.fromarray(land_picture(extent)), "land").uri,
        bounds=[[south, west], [north, east]],
        name="land",
        control=False,
        alt="land and sea",
    ).add_to(canvas)
    online = folium.TileLayer(
        _ONLINE_TILES, attr=_ONLINE_CREDIT, name="online background", overlay=True, show=False
    )
    online.add_to(canvas)
    shown = {}
    for number, places in enumerate(stores):
        chosen = thin_out(places.outcomes, SHOWN_AT_MOST)
        shown[places.store] = len(chosen)
        for layer in _status_layers(places, chosen, visible=number == 0):
            layer.add_to(canvas)
    folium.LayerControl(collapsed=True).add_to(canvas)
    canvas.fit_bounds(_data_bounds(stores), padding=(18, 18))
    _fix_names(canvas)
    root.render()
    style = f"{_leaflet_style()}\n#{canvas.get_name()} {{width: 100%; height: 100%;}}"
    return MapParts(
        Markup(style),  # noqa: S704  (our own file)
        Markup(_vendored("leaflet.js").decode()),  # noqa: S704
        Markup(root.html.render()),  # noqa: S704
        Markup(root.script.render()),  # noqa: S704
        shown,
        tuple(_legend(stores[0])),
    )


def thin_out(outcomes: Sequence[str], limit: int) -> NDArray[np.int64]:
    """Indices of at most so many places, evenly spread over the list of each status.

    Small groups stay whole, so that the few rejected ones are seen among many kept ones.
    """
    names = np.array(outcomes, dtype=str)
    groups = sorted((np.flatnonzero(names == name) for name in np.unique(names)), key=len)
    chosen: list[NDArray[np.int64]] = []
    left = limit
    for done, group in enumerate(groups):
        room = left // (len(groups) - done)
        picked = np.linspace(0, len(group) - 1, min(room, len(group))).round().astype(np.int64)
        chosen.append(group[picked])
        left -= len(picked)
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)


def map_extent(stores: Sequence[Places], margin: float) -> tuple[float, float, float, float]:
    """West, south, east, north in degrees: all places, and a share of their extent around them."""
    (south, west), (north, east) = _data_bounds(stores)
    width, height = (margin * max(size, 0.5) for size in (east - west, north - south))
    return (
        max(-180.0, west - width),
        max(-_MERCATOR_LIMIT, south - height),
        min(180.0, east + width),
        min(_MERCATOR_LIMIT, north + height),
    )


def land_picture(extent: tuple[float, float, float, float]) -> NDArray[np.uint8]:
    """Land and sea in the map's projection (Web Mercator), (y, x, 3) uint8, north up."""
    west, south, east, north = extent
    low, high = _mercator(np.array([south, north]))
    shape_ratio = (high - low) / np.deg2rad(east - west)
    rows = max(16, min(2 * _LAND_PIXELS, round(_LAND_PIXELS * shape_ratio)))
    northing = np.linspace(high, low, rows)
    lat = np.rad2deg(2 * np.arctan(np.exp(northing)) - np.pi / 2)
    lon = np.linspace(west, east, _LAND_PIXELS)
    land = is_land(lon[None, :], lat[:, None])
    return _paint_land(land)


def _paint_land(land: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.array([_SEA, _LAND], np.uint8)[land.astype(np.intp)]


def location_chart(stores: Sequence[Places]) -> Figure:
    """The same map as a picture: every place of every store, coloured by status."""
    west, south, east, north = map_extent(stores, margin=0.35)
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = figure.add_subplot()
    lon, lat = np.linspace(west, east, 720), np.linspace(north, south, 460)
    land = is_land(lon[None, :], lat[:, None])
    picture = _paint_land(land)
    axes.imshow(picture, extent=(west, east, south, north), interpolation="nearest")
    for marker, places in zip("os^", stores, strict=False):
        _scatter(axes, places, marker)
    axes.set_aspect(1 / np.cos(np.deg2rad((south + north) / 2)))
    axes.tick_params(colors=INK, labelsize=8, color=RULE)
    axes.set_xlabel("degrees east", color=QUIET, fontsize=8.5)
    axes.set_ylabel("degrees north", color=QUIET, fontsize=8.5)
    for spine in axes.spines.values():
        spine.set_color(RULE)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def _scatter(axes: object, places: Places, marker: str) -> None:
    outcomes = np.array(places.outcomes, dtype=str)
    size = 16 if len(outcomes) < 2_000 else 1.5
    for status, color in status_colors(places.outcomes).items():
        one = outcomes == status
        axes.scatter(  # type: ignore[attr-defined]
            places.lon[one],
            places.lat[one],
            s=size,
            marker=marker,
            color=color,
            linewidths=0.3,
            edgecolors="white" if size > 2 else "none",
            label=_layer_title(places, status),
            rasterized=len(outcomes) >= 2_000,
        )


def _status_layers(
    places: Places, chosen: NDArray[np.int64], visible: bool
) -> Iterator[folium.FeatureGroup]:
    colors = status_colors(places.outcomes)
    for status, color in colors.items():
        rows = [row for row in chosen if places.outcomes[row] == status]
        if not rows:
            continue
        title = _layer_title(places, status)
        swatch = f'<i class="swatch" style="background:{color}"></i>{title}'
        group = folium.FeatureGroup(name=swatch, show=visible)
        folium.GeoJson(
            _points(places, rows),
            marker=folium.CircleMarker(
                radius=6, weight=1, color="#ffffff", fill=True, fill_color=color, fill_opacity=0.9
            ),
            tooltip=folium.GeoJsonTooltip(["id", "status"], labels=False),
        ).add_to(group)
        yield group


def _legend(places: Places) -> Iterator[tuple[str, str]]:
    for status, color in status_colors(places.outcomes).items():
        yield _layer_title(places, status), color


def _layer_title(places: Places, status: str) -> str:
    total = sum(outcome == status for outcome in places.outcomes)
    return f"{_TITLES[places.store]}: {_status_text(status)} ({total:,})"


def _points(places: Places, rows: Sequence[int]) -> dict[str, object]:
    features = []
    for row in rows:
        place = [round(float(places.lon[row]), 5), round(float(places.lat[row]), 5)]
        status = f"{_status_text(places.outcomes[row])}, {places.splits[row] or 'no split'}"
        feature = {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": place},
            # Leaflet takes them for HTML
            "properties": {"id": html.escape(places.ids[row]), "status": html.escape(status)},
        }
        features.append(feature)
    return {"type": "FeatureCollection", "features": features}


def _status_text(status: str) -> str:
    return status if status == KEPT else f"rejected, {status.replace('_', ' ')}"


def _data_bounds(stores: Sequence[Places]) -> list[list[float]]:
    lon = np.concatenate([places.lon for places in stores])
    lat = np.concatenate([places.lat for places in stores])
    lon, lat = lon[np.isfinite(lon)], lat[np.isfinite(lat)]
    if not lon.size:
        return [[-60.0, -180.0], [75.0, 180.0]]
    return [[float(lat.min()), float(lon.min())], [float(lat.max()), float(lon.max())]]


def _mercator(lat: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(np.tan(np.pi / 4 + np.deg2rad(lat) / 2))


def _leaflet_style() -> str:
    """Leaflet's style with its few pictures inside."""
    style = _vendored("leaflet.css").decode()
    for name in ("layers.png", "layers-2x.png", "marker-icon.png"):
        style = style.replace(f"url(images/{name})", f"url({file_uri(name, _vendored(name))})")
    return style


def _vendored(name: str) -> bytes:
    return files("pipeline.report").joinpath("leaflet", name).read_bytes()


def _fix_names(canvas: folium.Map) -> None:
    """Number the elements instead of naming them at random: the same data give the same page."""
    waiting: list[folium.Element] = [canvas]
    for number in range(1_000_000):
        if not waiting:
            return
        element = waiting.pop(0)
        element._id = f"{number}"
        waiting += element._children.values()
