import csv
from pathlib import Path

import numpy as np
import pytest

from pipeline.sensors import bands_of
from pipeline.verify.figures import load_published
from pipeline.verify.limits import load_limits
from pipeline.verify.spectra import (
    BANDS,
    block_means,
    distances,
    load_library_spectra,
    possible_defects,
)
from tests.unit.verify.spectra_library import SAMPLES, real_scenes

NATIVE = [[band.name for band in bands_of(name)] for name in ("s2_10m", "s2_20m", "s2_60m")]

needs_samples = pytest.mark.skipif(
    not (SAMPLES / "eurosat").is_dir(), reason="real samples are not at hand"
)


def test_bands_of_other_resolution_and_holes_make_the_same_blocks():
    rng = np.random.default_rng(0)
    coarse = {name: rng.integers(1, 5000, (4, 4), np.uint16) for name in BANDS}
    sizes = {name: 24 if name == "B2" else 12 if name == "B5" else 4 for name in BANDS}
    bands = {k: v.repeat(sizes[k] // 4, 0).repeat(sizes[k] // 4, 1) for k, v in coarse.items()}
    expected = np.stack([coarse[name].ravel() for name in BANDS])
    np.testing.assert_array_equal(block_means(bands, 6), expected)
    for band in bands.values():
        band[0, 0] = 0
    assert block_means(bands, 6).shape == (13, 15)


def test_every_spectrum_of_the_library_is_recognised_and_its_defects_are_not():
    blocks = load_library_spectra().T.astype(np.float32)
    defects = possible_defects(NATIVE)
    stored, undone = distances(blocks, defects)
    assert stored == pytest.approx(0, abs=1e-6) and undone.min() > 0.5
    swap = next(defect for defect in defects if defect.bands == ("B4", "B8"))
    found, undone = distances(swap.undone(blocks), defects)
    assert found > 10 and defects[int(undone.argmin())] == swap


@needs_samples
def test_no_real_scene_is_said_to_have_a_defect():
    limits, wrong, judged = load_limits(), [], 0
    for name, cube in real_scenes().items():
        blocks = block_means({band: cube[i] for i, band in enumerate(BANDS)}, 6)
        if blocks.shape[1] < 20:
            continue
        judged += 1
        stored, undone = distances(blocks, possible_defects(NATIVE))
        clear = stored - undone.min() >= limits.spectra_gain_scene
        clear &= undone.min() <= limits.spectra_ratio_scene * stored
        if clear and undone.min() <= limits.spectra_distance_scene:
            wrong.append(name)
    assert judged > 100 and wrong == []


def test_published_statistics_are_those_that_encoders_are_normalised_by():
    path = Path("training/encoders/encoder_inputs.csv")
    with path.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["inputs"] in ("cromss_13", "cromss_s1")]
    assert {row["band"]: (float(row["mean"]), float(row["std"])) for row in rows} == {
        row.band: (row.mean, row.std) for row in load_published()
    }
