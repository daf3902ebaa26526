"""Places stay where they are while a dataset grows: a new list is held against the earlier ones.

Scenes and pixels are found again by the number and the id of a place. Were it to lie elsewhere in a
longer list, because its row in a table was changed or because another version of a library draws
other numbers, the pixels of the old place would be kept for the new one.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.locations.location import Location
from pipeline.locations.table import list_of_dataset, read_locations


def unmoved(locations: Iterable[Location], output: Path, dataset: str) -> Iterator[Location]:
    """Give the locations on, one by one, as long as they are where earlier lists have them.

    Args:
        locations: Of the list that is being made.
        output: Where it is written to; earlier lists of the dataset lie in the same folder.
        dataset: `Settings.dataset_hash`; lists of other datasets count for nothing.

    Raises:
        PipelineError: A location moved, or its dates or its id changed.
    """
    earlier = _longest_list(output.parent, dataset)
    places = read_locations(earlier) if earlier else ()
    known = {place.sample: _identity(place) for place in places}
    for location in locations:
        identity = _identity(location)
        if known.get(location.sample, identity) != identity:
            raise PipelineError(
                f"location {location.location_id} (number {location.sample}) has another place, "
                f"date or id than in {earlier}, with which this dataset was begun; undo the change "
                f"of the table or area, choose another name, or remove {output.parent.parent}"
            )
        yield location


def _longest_list(folder: Path, dataset: str) -> Path | None:
    """All lists of a dataset begin alike, so the longest stands for all of them."""
    lists = [path for path in folder.glob("*.parquet") if list_of_dataset(path) == dataset]
    return max(lists, key=lambda path: int(path.stem) if path.stem.isdigit() else 0, default=None)


def _identity(place: Location) -> int:
    """What pixels depend on; as a number, since there may be millions."""
    return hash((place.location_id, place.grid, place.dates))
