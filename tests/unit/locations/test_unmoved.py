"""A list that grows keeps its places; one that moved them is refused before anything is mixed."""

import dataclasses
import datetime as dt

import pytest

from pipeline.errors import PipelineError
from pipeline.locations.sampling import draw_locations
from pipeline.locations.seasons import in_the_past
from pipeline.locations.table import write_locations
from pipeline.locations.unmoved import unmoved

ROWS = ("a,11.0,48.0", "b,11.2,48.0", "c,11.4,48.0")


@pytest.fixture
def listed(location_settings, write_csv, tmp_path):
    """A function of the rows of a table: its locations, held against the lists made so far."""

    def read(*rows, **sections):
        table = write_csv("location_id,lon,lat", *rows)
        options = {"sampler": "points", "table": str(table), "count": None}
        settings = location_settings(options, **sections)
        output = tmp_path / "locations" / f"{len(rows)}.parquet"
        places = unmoved(draw_locations(settings), output, settings.dataset_hash())
        return write_locations(output, places, settings.dataset_hash())

    return read


def test_rows_added_at_the_end_are_welcome(listed):
    assert listed(*ROWS[:2]) == 2
    assert listed(*ROWS) == 3
    assert listed(*ROWS[:1]) == 1


@pytest.mark.parametrize(
    ("rows", "moved"),
    [
        (("a,11.0,48.0", "b,11.3,48.0", "c,11.4,48.0"), "location b"),
        (("new,10.0,48.0", *ROWS), "location new"),
        (("a,11.0,48.0", "other,11.2,48.0", "c,11.4,48.0"), "location other"),
    ],
)
def test_a_row_that_changed_is_refused(listed, tmp_path, rows, moved):
    listed(*ROWS[:2])
    with pytest.raises(PipelineError, match=moved) as error:
        listed(*rows)
    assert "choose another name" in str(error.value)
    assert [path.name for path in (tmp_path / "locations").iterdir()] == ["2.parquet"]


def test_a_list_is_held_against_its_own_earlier_version(listed):
    listed(*ROWS)
    listed(*ROWS)
    with pytest.raises(PipelineError, match="location c"):
        listed(*ROWS[:2], "c,11.5,48.0")


def test_lists_of_another_dataset_count_for_nothing(listed, tmp_path):
    listed(*ROWS[:2])
    (tmp_path / "locations" / "77.parquet").write_bytes(b"no table")
    assert listed("a,12.0,48.0", *ROWS[1:], seed=1) == 3


def test_days_that_are_not_over_are_not_searched(location_settings):
    (place,) = draw_locations(location_settings({"sampler": "land", "count": 1}))
    last = place.dates[-1]
    over = last + dt.timedelta(days=15)
    assert list(in_the_past([place], 15, over)) == [place]
    with pytest.raises(PipelineError, match=rf"until {over}.*reference_dates"):
        list(in_the_past([place], 15, over - dt.timedelta(days=1)))
    later = dataclasses.replace(place, dates=(*place.dates[:3], last + dt.timedelta(days=1)))
    with pytest.raises(PipelineError):
        list(in_the_past([place, later], 15, over))
