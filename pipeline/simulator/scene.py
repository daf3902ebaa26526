"""What the simulated archive holds: scenes, whether computed or mounted from files."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry


@dataclass(frozen=True)
class SceneBand:
    """One band of a scene on its own pixel grid.

    Attributes:
        name: Earth Engine band name, e.g. ``B8A``, ``VV``, ``label``.
        dtype: Pixel type as Earth Engine declares it.
        transform: Corner (column, row) to coordinates in the scene's CRS.
        height: Rows.
        width: Columns.
    """

    name: str
    dtype: np.dtype[Any]
    transform: Affine
    height: int
    width: int


class Scene(Protocol):
    """One image of an image collection, or a stand-alone image asset."""

    @property
    def asset_id(self) -> str:
        """``<collection>/<index>``."""
        ...

    @property
    def index(self) -> str:
        """The ``system:index``."""
        ...

    @property
    def epsg(self) -> int:
        """CRS of all bands."""
        ...

    @property
    def footprint(self) -> BaseGeometry:
        """Outline of the valid data, longitude and latitude."""
        ...

    @property
    def properties(self) -> dict[str, Any]:
        """Earth Engine properties, with ``system:time_start`` in ms."""
        ...

    @property
    def bands(self) -> dict[str, SceneBand]:
        """By name, in declared order."""
        ...

    def read(
        self, band: str, row_start: int, row_stop: int, col_start: int, col_stop: int
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Pixels [row_start, row_stop) x [col_start, col_stop) of a band and their validity.

        The window may reach beyond the scene; what lies outside is invalid.

        Returns:
            (rows, columns) of the band's dtype, and the same shape of bool, True = valid.
        """
        ...


class Archive(Protocol):
    """Scenes by place and time, or by asset id."""

    @property
    def collections(self) -> tuple[str, ...]:
        """Ids of the image collections it holds."""
        ...

    def search(
        self,
        collection: str,
        bounds: tuple[float, float, float, float],
        start_ms: int,
        end_ms: int,
    ) -> list[Scene]:
        """Scenes whose footprint may touch the bounds (west, south, east, north, degrees).

        Sensing start in [start_ms, end_ms), UTC milliseconds; ordered by index.
        """
        ...

    def get(self, asset_id: str) -> Scene | None:
        """The scene of that id, or None."""
        ...
