"""A figure with its data: the numbers as CSV, the picture as PNG and SVG."""

import io
from pathlib import Path

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from pipeline.atomic_file import write_atomically

_PIXELS_PER_INCH = 150


def write_figure(stem: Path, frame: pd.DataFrame, figure: Figure) -> list[Path]:
    """Write ``<stem>.csv``, ``<stem>.png`` and ``<stem>.svg``.

    Args:
        stem: Path without a suffix.
        frame: The numbers; where a column ``simulated`` has a true value, the picture says so.
        figure: The picture.

    Returns:
        The three files.
    """
    if "simulated" in frame and frame["simulated"].any():
        figure.suptitle("SIMULATED data", fontsize=8)
    files = [stem.with_suffix(suffix) for suffix in (".csv", ".png", ".svg")]
    write_atomically(files[0], frame.to_csv(index=False).encode())
    for file in files[1:]:
        # Without date and random names, the same figure gives the same file.
        content = io.BytesIO()
        metadata = {"Date": None} if file.suffix == ".svg" else None
        with rc_context({"svg.hashsalt": "noldo", "svg.fonttype": "none"}):
            figure.savefig(content, format=file.suffix[1:], dpi=_PIXELS_PER_INCH, metadata=metadata)
        write_atomically(file, content.getvalue())
    return files
