"""Fine-tuning shows in the weights, and variance in a curve of every stage."""

import pandas as pd
import torch

from training.encoders.figures import (
    divergence_figure,
    variance_figure,
    variance_rows,
    weight_divergence,
)


def states():
    """Of an encoder, and of the network it went into: one layer moved, one did not."""
    torch.manual_seed(0)
    before = {
        "conv1.weight": torch.randn(8, 3, 3, 3),
        "bn1.weight": torch.ones(8),
        "layer1.weight": torch.randn(8, 8, 3, 3),
        "dropped.weight": torch.randn(4, 4),
    }
    after = {f"encoder.{name}": tensor.clone() for name, tensor in before.items()}
    after["encoder.layer1.weight"] += 0.5
    after["encoder.dropped.weight"] = torch.randn(2, 2)
    return before, after | {"decoder.conv1.weight": torch.zeros(8, 3, 3, 3)}


def test_layers_that_moved_diverge():
    frame = weight_divergence(*states())
    assert frame["layer"].tolist() == ["conv1.weight", "layer1.weight"]
    assert frame["position"].tolist() == [0, 1]
    assert frame["divergence"][0] == 0 and frame["divergence"][1] > 0.01


def test_every_task_has_a_panel_and_every_encoder_a_curve():
    frame = weight_divergence(*states())
    both = [frame.assign(task=task, encoder=name) for task in ("dw", "osm") for name in ("a", "b")]
    figure = divergence_figure(pd.concat(both, ignore_index=True))
    assert [axis.get_title().split(":")[0] for axis in figure.axes] == ["dw", "osm"]
    assert [len(axis.lines) for axis in figure.axes] == [2, 2]


def test_stages_and_levels_have_panels_and_encoders_curves():
    stages = [(torch.randn(9, 4), torch.randn(40, 4)), (torch.randn(9, 8), torch.randn(40, 8))]
    rows = variance_rows("random", stages) + variance_rows("midF", stages[:1])
    figure = variance_figure(pd.DataFrame(rows))
    assert [axis.get_title() for axis in figure.axes] == [
        f"stage {stage}, {level} level" for level in ("image", "pixel") for stage in (1, 2)
    ]
    assert [len(axis.lines) for axis in figure.axes] == [2, 1, 2, 1]
