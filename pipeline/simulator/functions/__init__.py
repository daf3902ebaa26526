"""The Earth Engine functions that the simulated one can evaluate, by theme.

Just what this project's queries and the reference scripts of SSL4EO-S12 and CromSS use; importing
the package registers them. Add a function together with a test.
"""

from pipeline.simulator.functions import (
    arithmetic,
    collections,
    dates,
    elements,
    filters,
    geometries,
    images,
    joins,
    lists,
    masks,
    projections,
    reducers,
    sampling,
)

__all__ = [
    "arithmetic",
    "collections",
    "dates",
    "elements",
    "filters",
    "geometries",
    "images",
    "joins",
    "lists",
    "masks",
    "projections",
    "reducers",
    "sampling",
]
