"""All 2,176 published places of SSL4EO-S12 v1.1: zones and tiles of the file and of our selection.

Not every chosen tile can be the published one: where tiles overlap, either may have the newest
clear scene, and the clouds of the simulated Earth are not those of 2020. Where one tile lies over a
place it has to be the same.
"""

import sys
import tempfile
from pathlib import Path

from pipeline.simulator.archive import ProceduralArchive
from pipeline.simulator.server import SimulatedEarthEngine
from tests.services.published_places import METADATA, PLACES, compare


def main() -> None:
    """Compare and count."""
    if not METADATA.is_file():
        sys.exit("error: needs the folder of real samples; set NOLDO_SAMPLE_DATA")
    with SimulatedEarthEngine(ProceduralArchive(7)) as server, tempfile.TemporaryDirectory() as at:
        places = compare(server.url, Path(at), every=1)
    in_zone = sum(place.location.grid.epsg in place.zones for place in places)
    covered = sum(set(place.tiles) <= place.archive_tiles for place in places)
    print(f"{in_zone} of {len(places)} grids in the zone of a published scene (limit {PLACES})")
    print(f"{covered} of {len(places)} with all published tiles over the centre (limit {PLACES})")
    single = [pair for p in places if len(p.archive_tiles) == 1 for pair in p.chosen_tiles]
    several = [pair for p in places if len(p.archive_tiles) > 1 for pair in p.chosen_tiles]
    for name, pairs in (("one tile", single), ("several tiles", several)):
        print(f"{name} over the place: {_same(pairs)} of {len(pairs)} chosen as published")
    print(f"together {(_same(single) + _same(several)) / (len(single) + len(several)):.1%}")
    sys.exit(not in_zone == covered == PLACES or _same(single) < len(single))


def _same(pairs: list[tuple[str, str]]) -> int:
    return sum(chosen == published for chosen, published in pairs)


if __name__ == "__main__":
    main()
