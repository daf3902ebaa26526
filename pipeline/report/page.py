"""The page itself: contents, pictures and gallery put into the template."""

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import jinja2
import yaml
from markupsafe import Markup
from matplotlib.figure import Figure

from pipeline.atomic_file import write_atomically
from pipeline.gallery import OPTICAL_RANGE, VH_RANGE_DB, VV_RANGE_DB
from pipeline.label_classes import UNLABELLED_COLOR, label_classes
from pipeline.report import charts
from pipeline.report.bands import SHIFT_LIMIT, SPREAD_LIMIT, offset_warning
from pipeline.report.contents import Contents, store_legend
from pipeline.report.gallery_rows import gallery
from pipeline.report.location_map import interactive_map, location_chart
from pipeline.report.pictures import Picture, save_chart
from pipeline.verify.findings import Finding, Verification

_SUMMARIES = {"nol": "nol.index.parquet", "dw": "dw.index.parquet", "osm": "osm.tiles.csv"}
_FINDINGS_OF_A_CHECK = 12
_PICTURE_RANGES = {
    "reflectance": tuple(value / 10_000 for value in OPTICAL_RANGE),
    "vv": VV_RANGE_DB,
    "vh": VH_RANGE_DB,
}
"""What the pictures of the gallery show from black to white."""

_LONGEST_WORD = 40
_TARGETS = {"nol": "build_nol", "dw": "build_dw", "osm": "build_osm"}


def write_page(contents: Contents, page: Path) -> None:
    """Write the page, and its pictures beside it.

    Args:
        contents: What is told.
        page: HTML file.
    """
    folder = page.parent
    _remove_earlier_gallery(folder / "gallery", list(contents.stores))
    places = [store.places for store in contents.stores.values()]
    text = _template().render(
        contents=contents,
        settings=contents.settings,
        stores=contents.stores,
        style=Markup(_read("style.css")),  # noqa: S704  (our own file)
        pictures=_draw_charts(contents, folder / "pictures"),
        map=interactive_map(places),
        gallery=list(gallery(contents, folder)),
        attention=attention(contents),
        finished=_finished(contents),
        command=rebuild_command(contents),
        settings_text=_settings_text(contents),
        settings_uri=_settings_uri(contents),
        dynamic_world=label_classes({}),
        findings_by_check=findings_by_check,
        part_name=charts.part_name,
        ranges=_PICTURE_RANGES,
        unlabelled=UNLABELLED_COLOR,
        shift_limit=SHIFT_LIMIT,
        spread_limit=SPREAD_LIMIT,
    )
    write_atomically(page, text.encode())


def _remove_earlier_gallery(folder: Path, stores: Sequence[str]) -> None:
    """Delete the full-size pictures of an earlier page, which may have shown other samples."""
    for store in stores:
        for picture in folder.glob(f"{store}_*.png"):
            picture.unlink()


def attention(contents: Contents) -> list[str]:
    """What a reader must not overlook, a line each; empty if all is well."""
    lines = []
    for store in contents.stores.values():
        if store.verification is None:
            lines.append(f"{store.name}.zarr has not been verified")
        elif not store.verification.passed:
            found = _plural(store.verification.found, "finding")
            failed = ", ".join(one.check for one in store.verification.checks if not one.passed)
            lines.append(f"verification of {store.name}.zarr: {found} ({failed})")
    if warning := offset_warning(contents.bands):
        lines.append(warning)
    differing = [band.band for band in contents.bands if band.warning]
    if differing:
        lines.append(f"band statistics differ from the published ones: {', '.join(differing)}")
    return lines


def findings_by_check(verification: Verification) -> list[tuple[Sequence[Finding], int]]:
    """Of each check the first findings and the number of all, so that none drowns the others."""
    groups = [
        ([one for one in verification.findings if one.check == check.check], check.found)
        for check in verification.checks
    ]
    return [(group[:_FINDINGS_OF_A_CHECK], count) for group, count in groups if count]


def rebuild_command(contents: Contents) -> str:
    """What to type to make the same dataset again."""
    names = set(contents.stores)
    targets = ["build_noldo"] if names == set(_TARGETS) else [_TARGETS[name] for name in names]
    file = contents.settings.folder / "settings.yaml"
    return f"snakemake --configfile {file.as_posix()} -- {' '.join(sorted(targets))}"


def _draw_charts(contents: Contents, folder: Path) -> Mapping[str, Picture]:
    figures = _figures(contents)
    return {
        name: save_chart(figure, folder, name, contents.simulated)
        for name, figure in figures.items()
    }


def _figures(contents: Contents) -> dict[str, Figure]:
    stores = contents.stores
    figures = {"locations": location_chart([store.places for store in stores.values()])}
    for name, store in stores.items():
        if store.distributions:
            figures[f"classes_{name}"] = charts.class_chart(store.distributions)
        if store.acquisitions:
            figures[f"months_{name}"] = charts.month_chart(store.acquisitions)
            figures[f"gaps_{name}"] = charts.gap_chart(store.acquisitions)
            figures[f"clouds_{name}"] = charts.cloud_chart(store.acquisitions)
    if contents.bands:
        figures["bands"] = charts.band_chart(contents.bands)
    if contents.season_pairs:
        legend = store_legend(stores["nol"].path)
        figures["seasons"] = charts.season_chart(contents.season_pairs)
        figures["persistence"] = charts.persistence_chart(contents.persistence, legend)
    if contents.osm is not None:
        rows, columns = store_legend(stores["osm"].path), label_classes({})
        figures["osm_agreement"] = charts.osm_histogram(contents.osm)
        figures["osm_confusion"] = charts.confusion_chart(contents.osm, rows, columns)
    return figures


def _finished(contents: Contents) -> dict[str, str]:
    """When each store was finished, by the age of the table that is written last."""
    folder = contents.settings.folder
    moments = {
        name: datetime.fromtimestamp((folder / _SUMMARIES[name]).stat().st_mtime, UTC)
        for name in contents.stores
    }
    return {name: f"{moment:%Y-%m-%d %H:%M} UTC" for name, moment in moments.items()}


def _settings_text(contents: Contents) -> str:
    return yaml.safe_dump(contents.settings.model_dump(mode="json"), sort_keys=False)


def _settings_uri(contents: Contents) -> str:
    body = base64.b64encode(_settings_text(contents).encode()).decode()
    return f"data:application/yaml;base64,{body}"


def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("pipeline.report")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
    )
    environment.filters.update(
        percent=_percent,
        thousands=_thousands,
        size=_size,
        duration=_duration,
        plural=_plural,
        shortened=_shortened,
    )
    return environment.get_template("page.html.j2")


def _read(name: str) -> str:
    return files("pipeline.report").joinpath("templates", name).read_text(encoding="utf-8")


def _percent(share: float, digits: int = 1) -> str:
    return "–" if share != share else f"{100 * share:.{digits}f} %"


def _thousands(count: float) -> str:
    return f"{count:,.0f}"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} TB"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _shortened(text: str) -> str:
    """Words too long for a column, such as checksums, are cut."""
    words = text.split(" ")
    return " ".join(f"{one[:12]}…" if len(one) > _LONGEST_WORD else one for one in words)
