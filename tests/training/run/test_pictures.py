"""Pictures of a run: what stands above them, and what they show."""

import pandas as pd

from training.run.pictures import draw_curves


def test_curves_stand_under_their_title():
    rows = [
        (epoch, split, "all", "all", metric, 1.0 / (1 + epoch))
        for epoch in range(3)
        for split, metric in (("train", "loss"), ("validation", "loss"), ("train", "learning_rate"))
    ]
    columns = ["epoch", "split", "modality", "class", "metric", "value"]
    figure = draw_curves(pd.DataFrame(rows, columns=columns), "midF (SIMULATED data)")
    assert figure.get_suptitle() == "midF (SIMULATED data)"
    by_title = {axes.get_title(): axes for axes in figure.axes}
    loss = {line.get_label(): line for line in by_title["loss"].lines}
    assert set(loss) == {"train", "validation"}
    assert loss["train"].get_ydata().tolist() == [1.0, 1 / 2, 1 / 3]
    assert len(by_title["mean IoU"].lines) == 0
