"""Files beside a map of classes from which GDAL takes its class names and QGIS its style."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

from pipeline.atomic_file import write_atomically
from pipeline.label_classes import LabelClass


def write_class_style(path: Path, classes: Sequence[LabelClass]) -> None:
    """Write ``<name>.qml`` and ``<name>.tif.aux.xml`` beside a map.

    QGIS loads the first by itself, https://docs.qgis.org/latest/en/docs/user_manual/appendices/
    qgis_file_formats.html (QML); GDAL the second, https://gdal.org/en/stable/drivers/raster/
    gtiff.html (category names lie in the PAM file).

    Args:
        path: Of the map, ending in ``.tif``.
        classes: Of the map.
    """
    write_atomically(path.with_suffix(".qml"), _qgis_style(classes))
    write_atomically(path.with_name(f"{path.name}.aux.xml"), _category_names(classes))


def _qgis_style(classes: Sequence[LabelClass]) -> bytes:
    root = ElementTree.Element("qgis", styleCategories="Symbology")
    pipe = ElementTree.SubElement(root, "pipe")
    renderer = ElementTree.SubElement(
        pipe, "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1"
    )
    palette = ElementTree.SubElement(renderer, "colorPalette")
    for row in classes:
        ElementTree.SubElement(
            palette,
            "paletteEntry",
            value=str(row.id),
            color=row.color.lower(),
            alpha="255",
            label=row.name,
        )
    document: bytes = ElementTree.tostring(root, encoding="utf-8")
    return b"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + document + b"\n"


def _category_names(classes: Sequence[LabelClass]) -> bytes:
    names = {row.id: row.name for row in classes}
    root = ElementTree.Element("PAMDataset")
    band = ElementTree.SubElement(root, "PAMRasterBand", band="1")
    categories = ElementTree.SubElement(band, "CategoryNames")
    for value in range(max(names) + 1):
        ElementTree.SubElement(categories, "Category").text = names.get(value, "")
    document: bytes = ElementTree.tostring(root, encoding="utf-8")
    return document + b"\n"
