"""The step ``locations``: ``python -m pipeline.locations --settings FILE --output PATH``."""

import argparse
import collections
import datetime as dt
import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.errors import run_step
from pipeline.locations.location import Location
from pipeline.locations.sampling import draw_locations
from pipeline.locations.seasons import in_the_past
from pipeline.locations.table import write_locations
from pipeline.locations.unmoved import unmoved
from pipeline.settings.tree import load_settings

LOG = logging.getLogger(__name__)

PROGRESS_EVERY = 25_000


def main() -> None:
    """Choose the locations of a dataset and write their table."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="resolved settings, YAML")
    parser.add_argument("--output", type=Path, required=True, help="table to write, GeoParquet")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    run_step(lambda: _choose(arguments.settings, arguments.output))


def _choose(settings_path: Path, output: Path) -> None:
    settings = load_settings(settings_path)
    tally: collections.Counter[str] = collections.Counter()
    start = time.monotonic()
    today = dt.datetime.now(dt.UTC).date()
    past = in_the_past(draw_locations(settings), settings.seasons.half_window_days, today)
    locations = unmoved(past, output, settings.dataset_hash())
    written = write_locations(output, _counted(locations, tally), settings.dataset_hash())
    zones = sum(key.startswith("EPSG") for key in tally)
    LOG.info(
        "%d locations (%d train, %d validation) in %d UTM zones, %.1f s: %s",
        written,
        tally["train"],
        tally["validation"],
        zones,
        time.monotonic() - start,
        output,
    )


def _counted(locations: Iterable[Location], tally: collections.Counter[str]) -> Iterator[Location]:
    start = time.monotonic()
    for number, location in enumerate(locations, start=1):
        tally.update((location.split, location.grid.crs))
        if number % PROGRESS_EVERY == 0:
            LOG.info("%d locations, %.0f a second", number, number / (time.monotonic() - start))
        yield location


if __name__ == "__main__":
    main()
