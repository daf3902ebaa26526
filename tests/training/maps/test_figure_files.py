"""A figure is its numbers and two pictures, and says where it is simulated."""

import pandas as pd
import torch
from PIL import Image

from training.encoders.figures import variance_figure, variance_rows
from training.maps.figure_files import write_figure


def test_every_figure_is_data_and_two_pictures(tmp_path):
    stages = [(torch.randn(9, 4), torch.randn(40, 4)), (torch.randn(9, 8), torch.randn(40, 8))]
    frame = pd.DataFrame(variance_rows("random", stages))
    assert len(frame) == 4 + 4 + 8 + 8
    for which in ("first", "again"):
        files = write_figure(tmp_path / which, frame, variance_figure(frame))
        assert [file.suffix for file in files] == [".csv", ".png", ".svg"]
        pd.testing.assert_frame_equal(pd.read_csv(files[0]), frame)
        assert Image.open(files[1]).size[0] > 300 and b"<svg" in files[2].read_bytes()
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "again.svg").read_bytes()
    assert b"SIMULATED" not in files[2].read_bytes()
    files = write_figure(tmp_path / "marked", frame.assign(simulated=True), variance_figure(frame))
    assert b"SIMULATED data" in files[2].read_bytes()
