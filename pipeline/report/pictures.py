"""Charts and photographs as files beside the page and as data URIs inside it."""

import base64
import io
import mimetypes
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from pipeline.atomic_file import write_atomically
from pipeline.report.charts import WARNING_INK

SIMULATED_MARK = "SIMULATED"
_PNG_DPI = 160


@dataclass(frozen=True)
class Picture:
    """A picture of the page.

    Attributes:
        name: Of its files, without suffix.
        uri: ``data:`` URI of what the page shows.
        width: Pixels, as shown at full size.
        height: Likewise.
        files: Names of the files beside the page.
    """

    name: str
    uri: str
    width: int
    height: int
    files: tuple[str, ...]


def save_chart(figure: Figure, folder: Path, name: str, simulated: bool) -> Picture:
    """Write a chart as PNG and SVG; the page shows the SVG.

    Args:
        figure: The chart; a mark is added to it if its data are simulated.
        folder: Where the files go.
        name: Of the files, without suffix.
        simulated: Whether the data are.
    """
    if simulated:
        mark_figure(figure)
    png, svg = io.BytesIO(), io.BytesIO()
    # fixed ids and no date: the same data give the same bytes
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(svg, format="svg", metadata={"Date": None})
    figure.savefig(png, format="png", dpi=_PNG_DPI)
    files = (f"{name}.png", f"{name}.svg")
    for file, content in zip(files, (png, svg), strict=True):
        write_atomically(folder / file, content.getvalue())
    width, height = figure.get_size_inches() * 96
    uri = data_uri(svg.getvalue(), "image/svg+xml")
    return Picture(name, uri, round(width), round(height), files)


def mark_figure(figure: Figure) -> None:
    """Write on a chart, above everything else, that its data are simulated."""
    # a title, because the layout leaves room for titles
    figure.suptitle(
        SIMULATED_MARK, x=0.995, ha="right", fontsize=6.5, weight="bold", color=WARNING_INK
    )


def embed_image(image: Image.Image, name: str, files: tuple[str, ...] = ()) -> Picture:
    """A photograph for the page, as WebP."""
    body = io.BytesIO()
    image.save(body, "WEBP", quality=66, method=4)
    return Picture(name, data_uri(body.getvalue(), "image/webp"), *image.size, files)


def save_image(image: Image.Image, path: Path) -> None:
    """Write a photograph as PNG, whole or not at all."""
    body = io.BytesIO()
    image.save(body, "PNG")
    write_atomically(path, body.getvalue())


def file_uri(path: str, content: bytes) -> str:
    """A file as data URI, its type told by the suffix of its name."""
    return data_uri(content, mimetypes.guess_type(path)[0] or "application/octet-stream")


def data_uri(content: bytes, kind: str) -> str:
    """Bytes as a URI that needs no file and no network."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
