"""Invented land use: parcels, small objects and lines whose true labels are known to a metre."""

from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio import features
from shapely.geometry.base import BaseGeometry

from pipeline.grid import PatchGrid
from pipeline.legend import UNLABELLED, load_legend

PLACES = {
    "Nairobi": PatchGrid(32737, 255_000.0, 9_860_000.0, 510, 510),
    "Heidelberg": PatchGrid(32632, 475_000.0, 5_475_000.0, 510, 510),
    "Hobart": PatchGrid(32755, 522_000.0, 5_255_000.0, 510, 510),
    "edge of a zone at 60 N": PatchGrid(32633, 333_000.0, 6_713_000.0, 510, 510),
    "Tromso": PatchGrid(32634, 415_000.0, 7_705_000.0, 510, 510),
}

CLASSES = len(load_legend("osm_landuse"))
_SUBPIXELS = 10
_NEARBY_PIXELS = 2
_EDGE_M = 150.0
KINDS = (
    "line up to 15 m",
    "line above 15 m",
    "small object up to 15 m",
    "small object above 15 m",
)
_UNMAPPED = 8


Drawn = tuple[BaseGeometry, int, str]
"""Outline, class id, kind."""


@dataclass(frozen=True)
class LandUse:
    """Polygons of one tile in its UTM zone, later ones on top; ``kinds`` says what each is."""

    grid: PatchGrid
    polygons: list[BaseGeometry]
    ids: list[int]
    kinds: list[str]

    def mercator_polygons(self) -> list[BaseGeometry]:
        transformer = Transformer.from_crs(self.grid.epsg, 3857, always_xy=True)
        dense = shapely.segmentize(np.array(self.polygons), _EDGE_M)
        return list(
            shapely.transform(dense, lambda xy: np.column_stack(transformer.transform(*xy.T)))
        )


def land_use(grid: PatchGrid, seed: int) -> LandUse:
    """Per tile of 510 pixels about 1,950 polygons: parcels, 900 small objects, 40 lines."""
    random = np.random.default_rng(seed)
    share = grid.height * grid.width / 510**2
    drawn = _parcels(grid, random, share)
    drawn += [_small_object(grid, random) for _ in range(round(900 * share))]
    drawn += [_line(grid, random) for _ in range(round(40 * share))]
    shapes, ids, kinds = zip(*(one for one in drawn if not one[0].is_empty), strict=True)
    return LandUse(grid, list(shapes), list(ids), list(kinds))


def _any_class(random: np.random.Generator) -> int:
    return int(random.integers(CLASSES))


def _parcels(grid: PatchGrid, random: np.random.Generator, share: float) -> list[Drawn]:
    """Voronoi cells, some shrunk by a lane; neighbourhoods share a class or are unmapped."""
    left, bottom, right, top = grid.bounds
    box = ((left - 300, bottom - 300), (right + 300, top + 300))
    clusters = random.uniform(*box, (round(60 * share) + 1, 2))
    cluster_class = random.integers(-_UNMAPPED, CLASSES, len(clusters))
    points = random.uniform(*box, (round(1000 * share), 2))
    drawn = []
    for cell in shapely.voronoi_polygons(shapely.MultiPoint(points)).geoms:
        centre = np.array(cell.centroid.coords[0])
        number = int(cluster_class[((clusters - centre) ** 2).sum(axis=1).argmin()])
        if random.random() < 0.2:
            number = int(random.integers(-_UNMAPPED, CLASSES))
        if number >= 0:
            drawn.append((_shrunk(cell, random), number, "parcel"))
    return drawn


def _shrunk(cell: BaseGeometry, random: np.random.Generator) -> BaseGeometry:
    return cell.buffer(-random.uniform(3, 12)) if random.random() < 0.3 else cell


def _small_object(grid: PatchGrid, random: np.random.Generator) -> Drawn:
    left, bottom, right, top = grid.bounds
    x, y = random.uniform(left, right), random.uniform(bottom, top)
    width, height = random.uniform(4, 30, 2)
    box = shapely.box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    turn = random.uniform(0, np.pi / 2)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    turned = shapely.transform(box, lambda xy: (xy - (x, y)) @ matrix.T + (x, y))
    kind = "small object up to 15 m" if max(width, height) <= 15 else "small object above 15 m"
    return turned, _any_class(random), kind


def _line(grid: PatchGrid, random: np.random.Generator) -> Drawn:
    left, bottom, right, top = grid.bounds
    start = random.uniform((left, bottom), (right, top))
    steps = random.normal(0, 400, (2, 2)).cumsum(axis=0)
    width = random.uniform(4, 30)
    line = shapely.LineString([start, *(start + steps)]).buffer(width / 2)
    return line, _any_class(random), "line up to 15 m" if width <= 15 else "line above 15 m"


@dataclass(frozen=True)
class Truth:
    """True labels by majority of 100 sub-pixels, and which classes occur within 20 m."""

    label: NDArray[np.uint8]
    nearby: NDArray[np.bool_]


def truth_of(scene: LandUse) -> Truth:
    grid = scene.grid
    fine = np.full((grid.height * _SUBPIXELS, grid.width * _SUBPIXELS), CLASSES, np.uint8)
    size = grid.resolution / _SUBPIXELS
    transform = Affine(size, 0.0, grid.left, 0.0, -size, grid.top)
    features.rasterize(zip(scene.polygons, scene.ids, strict=True), out=fine, transform=transform)
    blocks = fine.reshape(grid.height, _SUBPIXELS, grid.width, _SUBPIXELS)
    counts = np.stack([(blocks == number).sum(axis=(1, 3)) for number in range(CLASSES + 1)])
    winner = counts.argmax(axis=0)
    label = np.where(winner == CLASSES, UNLABELLED, winner).astype(np.uint8)
    return Truth(label, _dilated(counts[:CLASSES] > 0))


def _dilated(present: NDArray[np.bool_]) -> NDArray[np.bool_]:
    size = _NEARBY_PIXELS
    rows, columns = present.shape[1:]
    padded = np.pad(present, ((0, 0), (size, size), (size, size)))
    return np.logical_or.reduce(
        [
            padded[:, top : top + rows, left : left + columns]
            for top in range(2 * size + 1)
            for left in range(2 * size + 1)
        ]
    )


@dataclass(frozen=True)
class Figures:
    """Coverage, accuracy on jointly labelled pixels, recall, share of invented labels."""

    coverage: float
    accuracy: float
    recall: float
    invented: float


def compare(label: NDArray[np.uint8], truth: Truth) -> Figures:
    labelled, true = label != UNLABELLED, truth.label != UNLABELLED
    joint = labelled & true
    right = joint & (label == truth.label)
    rows, columns = np.nonzero(labelled)
    invented = ~truth.nearby[label[rows, columns], rows, columns]
    return Figures(
        coverage=float(labelled.mean()),
        accuracy=float(right.sum() / joint.sum()),
        recall=float(right.sum() / true.sum()),
        invented=float(invented.sum() / max(1, labelled.sum())),
    )


def recall_by_kind(label: NDArray[np.uint8], truth: Truth, scene: LandUse) -> dict[str, float]:
    """Recall over the pixels whose centre lies on an object of each of `KINDS`."""
    grid = scene.grid
    number = np.full(grid.shape, -1, np.int32)
    numbered = zip(scene.polygons, range(len(scene.polygons)), strict=True)
    features.rasterize(numbered, out=number, transform=grid.transform)
    on_top = np.array(scene.ids)[number] == truth.label
    return {
        kind: float((label == truth.label)[place].mean())
        for kind in KINDS
        if (place := (number >= 0) & on_top & (np.array(scene.kinds)[number] == kind)).any()
    }
