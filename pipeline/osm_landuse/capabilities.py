"""What a WMS server says about itself (GetCapabilities, WMS 1.3.0)."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

from pipeline.osm_landuse.errors import WmsPayloadError, WmsServiceError

_EXCEPTION = re.compile(
    r"<(?:\w+:)?ServiceException\b([^>]*?)(?:/>|>(.*?)</(?:\w+:)?ServiceException>)", re.DOTALL
)
_CODE = re.compile(r"\bcode\s*=\s*[\"']([^\"']*)")
_LONGEST_TEXT = 300


@dataclass(frozen=True)
class Layer:
    """A layer that can be asked for.

    Attributes:
        crs: Names of the coordinate systems offered for it, inherited ones included, upper case.
    """

    crs: frozenset[str]


@dataclass(frozen=True)
class Capabilities:
    """The part of a server's capabilities that our requests depend on.

    Attributes:
        version: WMS version of the document.
        map_formats: Media types GetMap can answer in.
        layers: By name.
        max_width: Most columns of a map, None when unlimited.
        max_height: Most rows of a map, None when unlimited.
    """

    version: str
    map_formats: frozenset[str]
    layers: dict[str, Layer]
    max_width: int | None
    max_height: int | None


def parse_capabilities(body: bytes) -> Capabilities:
    """Read a capabilities document.

    Only 1.3.0 documents state the largest map; 1.1.1 ones are read all the same.

    Raises:
        WmsServiceError: The document is a service exception.
        WmsPayloadError: It is not a capabilities document.
    """
    if b"<!ENTITY" in body:
        raise WmsPayloadError("the capabilities declare XML entities, which no WMS needs; refused")
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 -- entities are refused above
    except ElementTree.ParseError as error:
        raise WmsPayloadError(f"the capabilities are not XML: {error}") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    if root.tag == "ServiceExceptionReport":
        raise service_error(body, 200)
    if root.tag not in ("WMS_Capabilities", "WMT_MS_Capabilities"):
        raise WmsPayloadError(f"expected WMS capabilities, got a document <{root.tag}>")
    formats = root.findall("./Capability/Request/GetMap/Format")
    return Capabilities(
        version=root.get("version", ""),
        map_formats=frozenset(element.text.strip() for element in formats if element.text),
        layers=_layers(root),
        max_width=_number(root, "./Service/MaxWidth"),
        max_height=_number(root, "./Service/MaxHeight"),
    )


def _layers(root: ElementTree.Element) -> dict[str, Layer]:
    layers: dict[str, Layer] = {}
    pending = [(element, frozenset[str]()) for element in root.findall("./Capability/Layer")]
    while pending:
        element, inherited = pending.pop()
        own = (child.text or "" for child in element if child.tag in ("CRS", "SRS"))
        crs = inherited.union(*(text.upper().split() for text in own))
        name = (element.findtext("Name") or "").strip()
        if name:
            layers[name] = Layer(crs)
        pending += [(child, crs) for child in element.findall("Layer")]
    return layers


def _number(root: ElementTree.Element, path: str) -> int | None:
    text = (root.findtext(path) or "").strip()
    return int(text) if re.fullmatch(r"[0-9]+", text) else None


def holds_service_exception(body: bytes) -> bool:
    """Whether a body is a service exception, however it is labelled."""
    return b"ServiceException" in body[:2000]


def service_error(body: bytes, status: int) -> WmsServiceError:
    """The error that a service exception document describes; it need not be well-formed."""
    text = body.decode("utf-8", "replace")
    found = _EXCEPTION.search(text)
    if found is None:
        return WmsServiceError(None, _one_line(text), status)
    code = _CODE.search(found[1])
    message = re.sub(r"<!\[CDATA\[|\]\]>", "", found[2] or "")
    return WmsServiceError(code[1] if code else None, _one_line(message), status)


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()[:_LONGEST_TEXT]
