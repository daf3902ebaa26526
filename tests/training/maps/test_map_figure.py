"""Image, label and predictions lie side by side in the colours of the legend."""

import numpy as np

from pipeline.legend import load_legend
from tests.training.learnable_tiles import small_plan, tile
from training.evaluate import evaluate
from training.maps.map_figure import map_figure


def test_maps_lie_side_by_side(tile_store, tmp_path):
    networks = {}
    for encoder in ("random_s1", "random_s2"):
        networks[encoder] = tmp_path / f"{encoder}.safetensors"
        evaluate(small_plan(tile_store, encoder, epochs=1), networks[encoder])
    task = small_plan(tile_store).task
    frame, figure = map_figure(tile_store, task, (0, 1, 99), networks)
    assert frame["tile"].tolist() == [0, 1, 0, 1]
    assert len(figure.axes) == 2 * 4
    shares = frame.filter(like="share.").sum(axis=1)
    np.testing.assert_allclose(shares, 1)
    label_panel = figure.axes[1].images[0].get_array()
    label = tile("test", 0)["label"]
    assert (label_panel[label == 255] == 0).all()
    legend = {row.id: row.rgb for row in load_legend("dynamic_world")}
    for number in set(label.flatten()) - {255}:
        assert tuple(label_panel[label == number][0]) == legend[number]
