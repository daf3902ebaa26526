"""Every chart says what it counts, in which unit and how many; none relies on colour alone."""

import numpy as np
import pytest

from pipeline.report import charts
from pipeline.report.contents import read_contents, store_legend


@pytest.fixture(scope="module")
def drawn(report):
    """Charts of all kinds, of the tiny build."""
    contents = read_contents(report.settings, report.folder / "report" / "label_sums.json")
    nol, osm = contents.stores["nol"], contents.stores["osm"]
    dynamic_world, land_use = (store_legend(store.path) for store in (nol, osm))
    return {
        "classes": charts.class_chart(nol.distributions),
        "bands": charts.band_chart(contents.bands),
        "months": charts.month_chart(nol.acquisitions),
        "gaps": charts.gap_chart(nol.acquisitions),
        "clouds": charts.cloud_chart(nol.acquisitions),
        "seasons": charts.season_chart(contents.season_pairs),
        "persistence": charts.persistence_chart(contents.persistence, dynamic_world),
        "agreement": charts.osm_histogram(contents.osm),
        "confusion": charts.confusion_chart(contents.osm, land_use, dynamic_world),
    }


def texts(figure):
    return [one.get_text() for one in figure.findobj(lambda part: hasattr(part, "get_text"))]


def test_every_chart_says_n_and_what_is_along_its_axis(drawn):
    for name, figure in drawn.items():
        told = texts(figure)
        assert any("n = " in text for text in told), name
        label = figure.axes[0].get_xlabel() or figure._supxlabel.get_text()
        assert len(label) > 10, name


def test_n_is_that_of_the_stores(drawn, report):
    numbers = report.parsed.numbers
    assert f"; n = {numbers['scenes/nol/count']:.0f} scenes" in drawn["months"].axes[0].get_xlabel()
    train = sum(
        value
        for key, value in numbers.items()
        if key.startswith("classes/nol/train/all/") and not key.endswith("unlabelled")
    )
    assert f"n = {charts.short_count(int(train))}" in texts(drawn["classes"])
    joint = [value for key, value in numbers.items() if key.endswith("/joint") and "-" in key]
    wanted = f"n = {charts.short_count(int(min(joint)))} to {charts.short_count(int(max(joint)))}"
    assert drawn["seasons"].axes[0].get_xlabel().startswith(wanted)


def test_large_shares_are_written_on_the_bars(drawn, report):
    numbers = report.parsed.numbers
    part = {k: v for k, v in numbers.items() if k.startswith("classes/nol/train/all/")}
    part.pop("classes/nol/train/all/unlabelled")
    shares = np.array(list(part.values())) / sum(part.values())
    told = texts(drawn["classes"])
    assert all(f"{100 * share:.0f}" in told for share in shares if share > 0.08)


def test_a_warning_has_a_shape_of_its_own(drawn):
    circles, diamonds = drawn["bands"].axes[0].collections[-2:]
    assert len(circles.get_paths()[0]) != len(diamonds.get_paths()[0])


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (12_345, "12.3 k"), (999_600, "1.00 M")],
)
def test_counts_in_three_digits(count, text):
    assert charts.short_count(count) == text
