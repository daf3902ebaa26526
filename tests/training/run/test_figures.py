"""Figures of runs show what an independent computation finds."""

import pytest

from pipeline.errors import PipelineError
from tests.training.conftest import tiny_plan
from training.pretrain import pretrain
from training.run.figures import selection_panels, statistics_divergence, statistics_figure


@pytest.fixture(scope="module")
def runs(store, tmp_path_factory):
    """Two runs of two epochs, each epoch kept."""
    folder = tmp_path_factory.mktemp("runs")
    plans = {}
    for name, ratio in (("one", 0.5), ("other", 1.0)):
        plan = tiny_plan(store, folder / name, epochs=2, selection={"ratio": ratio})
        settings = plan.settings.model_copy(update={"checkpoint_every": 1})
        plan = type(plan)(**{**vars(plan), "settings": settings})
        pretrain(plan)
        plans[name] = plan
    return plans


def test_statistics_of_two_runs_differ_more_than_those_of_one(runs):
    folders = {name: plan.output for name, plan in runs.items()}
    frame = statistics_divergence(folders)
    assert set(frame["epoch"]) == {0, 1} and set(frame["modality"]) == {"s1", "s2"}
    assert (frame["divergence"] >= 0).all() and frame["divergence"].max() > 0
    alone = statistics_divergence({"a": folders["one"], "b": folders["one"]})
    assert (alone["divergence"] == 0).all() and len(alone) == len(frame)
    assert statistics_figure(frame).axes
    with pytest.raises(PipelineError, match="no two of the runs one"):
        statistics_divergence({"one": folders["one"]})


def test_selection_panels_say_whom_a_run_trusts(runs, store):
    plan = runs["one"]
    frame, figure = selection_panels(plan.output, plan.run, store, plan.seed, 3)
    assert frame["sample"].nunique() == 3 and set(frame["kind"]) == {"segmentation", "consistency"}
    assert frame["mean_weight"].between(0, 1).all() and (frame["pixels"] > 0).all()
    assert len(figure.axes) == 3 * (3 + 2 + 4)
    whole = frame[(frame["kind"] == "segmentation") & (frame["modality"] == "s1")]
    assert whole.groupby("sample")["pixels"].sum().eq(48 * 48).all()
    single = plan.run.model_copy(update={"model": "single_s1"})
    with pytest.raises(PipelineError, match="one modality"):
        selection_panels(plan.output, single, store, 0, 3)
