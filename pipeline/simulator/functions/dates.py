"""``ee.Date`` and ``ee.DateRange``, in UTC."""

import calendar
from typing import Any

from pipeline.simulator.graph import implements
from pipeline.simulator.image import Image
from pipeline.simulator.refusal import EarthEngineError, not_implemented
from pipeline.simulator.values import Date, DateRange

_UNIT_MS = {
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 604_800_000,
}
_MONTHS = {"month": 1, "year": 12}
_PATTERNS = {
    "YYYY": "%Y",
    "yyyy": "%Y",
    "MM": "%m",
    "dd": "%d",
    "DDD": "%j",
    "HH": "%H",
    "mm": "%M",
    "ss": "%S",
    "'T'": "T",
}


@implements("Date")
def _date(value: Any, timeZone: str | None) -> Date:
    _refuse_time_zone(timeZone)
    return Date.parse(value)


@implements("DateRange")
def _date_range(start: Any, end: Any, timeZone: str | None) -> DateRange:
    """From start to end; without an end, the one instant."""
    _refuse_time_zone(timeZone)
    first = Date.parse(start)
    last = Date(first.millis + 1) if end is None else Date.parse(end)
    if last.millis <= first.millis:
        raise EarthEngineError("DateRange: The start of a date range must be before its end.")
    return DateRange(first, last)


@implements("Date.millis")
def _millis(date: Date) -> int:
    return date.millis


@implements("Date.advance")
def _advance(date: Date, delta: float, unit: str, timeZone: str | None) -> Date:
    _refuse_time_zone(timeZone)
    singular = unit.removesuffix("s")
    if singular in _MONTHS:
        return _months_later(date, round(delta * _MONTHS[singular]))
    return Date(date.millis + round(delta * _unit_ms(unit)))


@implements("Date.difference")
def _difference(date: Date, start: Date, unit: str) -> float:
    return (date.millis - start.millis) / _unit_ms(unit)


@implements("Date.format")
def _format(date: Date, format: str | None, timeZone: str | None) -> str:
    """The date as text, in Joda's pattern letters."""
    _refuse_time_zone(timeZone)
    pattern = format or "YYYY-MM-dd'T'HH:mm:ss"
    for letters, directive in _PATTERNS.items():
        pattern = pattern.replace(letters, directive)
    return date.utc.strftime(pattern)


@implements("Image.date")
def _image_date(image: Image) -> Date:
    if "system:time_start" not in image.properties:
        raise EarthEngineError("Image.date: The image has no property 'system:time_start'.")
    return Date(image.properties["system:time_start"])


def _months_later(date: Date, months: int) -> Date:
    moment = date.utc
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    last_day = calendar.monthrange(year, month + 1)[1]
    return Date.from_datetime(
        moment.replace(year=year, month=month + 1, day=min(moment.day, last_day))
    )


def _unit_ms(unit: str) -> int:
    singular = unit.removesuffix("s")
    if singular not in _UNIT_MS:
        raise EarthEngineError(f"Date: Unknown or unsuitable unit '{unit}'.")
    return _UNIT_MS[singular]


def _refuse_time_zone(time_zone: str | None) -> None:
    if time_zone not in (None, "UTC"):
        raise not_implemented(f"the time zone '{time_zone}' (only UTC)")
