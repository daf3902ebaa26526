"""A WMS server on loopback: MapProxy in front of a painter of land-use pictures.

MapProxy runs with its defaults (bicubic resampling, palette PNGs, a tile cache in web mercator),
as it does, as far as is known, in front of OSMLanduse. So what reaches a client is a real server's
answer: exact on the cache's pixel grid, blended everywhere else, service exceptions included.
"""

import io
import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from mapproxy.config.configuration.source import SourceConfiguration, register_source_configuration
from mapproxy.config.loader import ProxyConfiguration
from mapproxy.extent import DefaultMapExtent
from mapproxy.image import ImageResult
from mapproxy.image.opts import ImageOptions
from mapproxy.layer.map_layer import MapLayer
from mapproxy.query import MapQuery
from mapproxy.wsgiapp import MapProxyApp
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from werkzeug.serving import WSGIRequestHandler, make_server

from pipeline.legend import load_legend

LAYER = "osmlanduse:osm_lulc"
"""Name of the layer, that of the real service."""

_SOURCE_TYPE = "painted"
_SWATCH_PIXELS = 14
_ROW_PIXELS = 20
_LEGEND_WIDTH = 360

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Painter(Protocol):
    """Draws the land-use layer anywhere; called from several threads at once."""

    def paint(
        self, bounds: tuple[float, float, float, float], width: int, height: int
    ) -> NDArray[np.uint8]:
        """A window in EPSG:3857 (left, bottom, right, top) as (height, width, 3) RGB."""
        ...


class _PaintedLayer(MapLayer):
    supports_meta_tiles = True

    def __init__(self, painter: Painter) -> None:
        super().__init__()
        self.extent = DefaultMapExtent()
        self.res_range = None
        self._painter = painter

    def get_map(self, query: MapQuery) -> ImageResult:
        picture = self._painter.paint(query.bbox, *query.size)
        options = ImageOptions(format=query.format, mode="RGB")
        return ImageResult(Image.fromarray(picture), size=query.size, image_opts=options)


class _PaintedSource(SourceConfiguration):
    source_type = (_SOURCE_TYPE,)

    def source(self, params: object = None) -> _PaintedLayer:
        return _PaintedLayer(self.conf["painter"])


class _QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """One line per request is for debugging only."""
        logging.getLogger(__name__).debug(message, *args)


class LandUseServer:
    """Serves a painter's layer by WMS on 127.0.0.1 until closed; a context manager.

    Attributes:
        url: Address of the service, without parameters.
    """

    def __init__(
        self,
        painter: Painter,
        folder: Path,
        port: int = 0,
        middleware: Callable[[Wsgi], Wsgi] | None = None,
    ) -> None:
        """Start serving.

        Args:
            painter: Draws the layer.
            folder: Where MapProxy keeps its tile cache and the legend picture.
            port: TCP port, 0 for any free one.
            middleware: Wraps the WSGI application, e.g. to inject faults.
        """
        application = _application(painter, folder)
        if middleware is not None:
            application = middleware(application)
        self._server = make_server(
            "127.0.0.1", port, application, threaded=True, request_handler=_QuietHandler
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}/service"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """Use as ``with LandUseServer(...) as server``."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _application(painter: Painter, folder: Path) -> Wsgi:
    logging.getLogger("mapproxy").setLevel(logging.ERROR)
    register_source_configuration(_SOURCE_TYPE, _PaintedSource)
    folder.mkdir(parents=True, exist_ok=True)
    legend = folder.absolute() / "legend.png"
    legend.write_bytes(legend_picture())
    configuration = ProxyConfiguration(
        _configuration(painter, folder.absolute(), legend), conf_base_dir=str(folder.absolute())
    )
    services = configuration.configured_services()
    application: Wsgi = MapProxyApp(services, configuration.base_config)
    return application


def _configuration(painter: Painter, folder: Path, legend: Path) -> dict[str, Any]:
    """MapProxy's own defaults, spelt out where a reader might wonder."""
    return {
        "services": {
            "wms": {
                "srs": ["EPSG:3857", "EPSG:900913", "EPSG:4326", "CRS:84"],
                "image_formats": ["image/png", "image/jpeg", "image/GeoTIFF", "image/tiff"],
                "max_output_pixels": [4000, 4000],
                "md": {"title": "Simulated OSM land use"},
            }
        },
        "layers": [
            {
                "name": LAYER,
                "title": "OSM land use",
                "sources": ["tiles"],
                "legendurl": legend.as_uri(),
            }
        ],
        "caches": {
            "tiles": {
                "grids": ["webmercator"],
                "sources": ["painted"],
                "meta_size": [2, 2],
                "meta_buffer": 0,  # there is no lettering that a tile could cut
                "cache": {"type": "file", "directory": str(folder / "tiles")},
            }
        },
        "sources": {"painted": {"type": _SOURCE_TYPE, "painter": painter}},
        "grids": {"webmercator": {"srs": "EPSG:3857", "origin": "nw", "num_levels": 20}},
        "globals": {
            "cache": {"base_dir": str(folder), "lock_dir": str(folder / "locks")},
            "image": {"resampling_method": "bicubic", "paletted": True},
        },
    }


def legend_picture() -> bytes:
    """The legend as PNG: a swatch and a name per class, rows in the order of the real service."""
    classes = sorted(load_legend("osm_landuse"), key=lambda row: row.released_id)
    picture = Image.new("RGB", (_LEGEND_WIDTH, _ROW_PIXELS * len(classes)), "white")
    pen = ImageDraw.Draw(picture)
    for index, row in enumerate(classes):
        top = index * _ROW_PIXELS + (_ROW_PIXELS - _SWATCH_PIXELS) // 2
        pen.rectangle((4, top, 4 + _SWATCH_PIXELS - 1, top + _SWATCH_PIXELS - 1), row.rgb)
        pen.text((4 + _ROW_PIXELS, top), row.name, "black")
    body = io.BytesIO()
    picture.save(body, "PNG")
    return body.getvalue()
