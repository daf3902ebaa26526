"""The methods of the Earth Engine REST API v1 that are simulated: from a request to an answer."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pipeline.simulator.functions  # noqa: F401  (registers the functions)
from pipeline.simulator.assets import asset_json, list_assets
from pipeline.simulator.coercion import coerce
from pipeline.simulator.collection import Collection
from pipeline.simulator.discovery import discovery_json
from pipeline.simulator.graph import Expression, algorithms_json, check_implementations
from pipeline.simulator.image import scene_image
from pipeline.simulator.json_result import to_json
from pipeline.simulator.refusal import (
    NOT_FOUND,
    EarthEngineError,
    missing_asset,
    not_implemented,
    wrong_type,
)
from pipeline.simulator.rendering import render
from pipeline.simulator.scene import Archive

MAX_REQUEST_BYTES = 10 << 20
DEFAULT_PAGE_SIZE = 1_000
MAX_ELEMENTS = 5_000
"""Elements of a collection in one answer of ``value:compute``.

Source: https://developers.google.com/earth-engine/guides/debugging.
"""

JSON = "application/json"

_DISCOVERY = "/$discovery/rest"
_PUBLIC = "earthengine-public"
_PROJECT_PATH = re.compile(r"/v1/projects/([^/:]+)/(.+)")
_ASSET_PATH = re.compile(r"assets/([^:]+)(?::(\w+))?")
_KINDS = {
    "algorithms": "algorithms",
    "value:compute": "compute",
    "image:computePixels": "pixels",
    "table:computeFeatures": "features",
}
_PIXEL_FIELDS = {"fileFormat", "grid", "bandIds", "visualizationOptions", "workloadTag"}
_FIELDS = {
    "compute": {"expression", "workloadTag"},
    "pixels": {"expression", *_PIXEL_FIELDS},
    "getPixels": _PIXEL_FIELDS,
    "features": {"expression", "pageSize", "pageToken", "workloadTag"},
}


@dataclass(frozen=True)
class Answer:
    """Body and content type of a good answer."""

    body: bytes
    content_type: str = JSON


def request_kind(target: str) -> str:
    """The kind of a request by its path (see `RequestRecord.kind`)."""
    path = unquote(urlsplit(target).path)
    if path == _DISCOVERY:
        return "discovery"
    match = _PROJECT_PATH.fullmatch(path)
    if match is None:
        return "unknown"
    if match[2] in _KINDS:
        return _KINDS[match[2]]
    if not match[2].startswith("assets/"):
        return "unknown"
    return "pixels" if match[2].endswith(":getPixels") else "assets"


class RestApi:
    """Answers requests from an archive.

    Args:
        archive: The scenes.

    Raises:
        PipelineError: The installed client does not ship the signatures of its functions.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._compute: Mapping[str, Callable[[Mapping[str, Any]], Answer]] = {
            "compute": self._compute_value,
            "pixels": self._compute_pixels,
            "features": self._compute_features,
        }
        check_implementations()

    def answer(self, target: str, body: bytes) -> Answer:
        """The answer to a request.

        Args:
            target: Path and query.
            body: JSON, or empty.

        Raises:
            EarthEngineError: The request is refused.
        """
        kind = request_kind(target)
        if kind == "discovery":
            return Answer(discovery_json())
        if kind == "algorithms":
            return Answer(algorithms_json())
        if len(body) > MAX_REQUEST_BYTES:
            raise EarthEngineError(
                f"Request payload size exceeds the limit: {MAX_REQUEST_BYTES} bytes."
            )
        address = urlsplit(target)
        match = _PROJECT_PATH.fullmatch(unquote(address.path))
        if match is None or kind == "unknown":
            path = unquote(address.path)
            raise EarthEngineError(
                f"Simulated Earth Engine: there is no method at {path}.", NOT_FOUND, "NOT_FOUND"
            )
        if match[2].startswith("assets/"):
            return self._asset(match[1], match[2], dict(parse_qsl(address.query)), body)
        return self._compute[kind](_parse_body(body, kind))

    def _evaluate(self, request: Mapping[str, Any]) -> Any:
        expression = request.get("expression")
        if not isinstance(expression, dict):
            raise EarthEngineError("Invalid request: 'expression' is needed.")
        return Expression(expression, self._archive, coerce).evaluate()

    def _compute_value(self, request: Mapping[str, Any]) -> Answer:
        value = self._evaluate(request)
        if isinstance(value, Collection) and len(value.elements) > MAX_ELEMENTS:
            raise EarthEngineError(
                f"Collection query aborted after accumulating over {MAX_ELEMENTS} elements."
            )
        return _json_answer({"result": to_json(value)})

    def _compute_pixels(self, request: Mapping[str, Any]) -> Answer:
        return Answer(*render(self._evaluate(request), request))

    def _compute_features(self, request: Mapping[str, Any]) -> Answer:
        value = self._evaluate(request)
        if not isinstance(value, Collection):
            raise wrong_type("table:computeFeatures", "FeatureCollection", value)
        page, following = _page(value.elements, request)
        features = [to_json(element) for element in page]
        return _json_answer({"type": "FeatureCollection", "features": features, **following})

    def _asset(self, project: str, path: str, query: Mapping[str, str], body: bytes) -> Answer:
        match = _ASSET_PATH.fullmatch(path)
        if match is None:
            raise not_implemented(f"the method '{path}'")
        asset_id, method = match[1], match[2]
        if project != _PUBLIC:
            raise missing_asset(f"projects/{project}/assets/{asset_id}")
        if method is None:
            return _json_answer(asset_json(self._archive, asset_id))
        if method == "listAssets":
            listed = list_assets(self._archive, asset_id, query.get("filter", ""))
            page, following = _page(listed, query)
            return _json_answer({"assets": list(page), **following})
        if method == "getPixels":
            return self._get_pixels(asset_id, body)
        raise not_implemented(f"the method 'assets.{method}'")

    def _get_pixels(self, asset_id: str, body: bytes) -> Answer:
        scene = self._archive.get(asset_id)
        if scene is None:
            raise missing_asset(asset_id)
        return Answer(*render(scene_image(scene), _parse_body(body, "getPixels")))


def _parse_body(body: bytes, kind: str) -> dict[str, Any]:
    try:
        request = json.loads(body)
    except ValueError:
        raise EarthEngineError("Invalid JSON payload received.") from None
    if not isinstance(request, dict):
        raise EarthEngineError("Invalid JSON payload received. Expected an object.")
    for name in request.keys() - _FIELDS[kind]:
        raise EarthEngineError(
            f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
        )
    return request


def _page(items: Sequence[Any], request: Mapping[str, Any]) -> tuple[Sequence[Any], dict[str, str]]:
    """The part of a listing that a request asks for, and where the next part begins."""
    try:
        size = int(request.get("pageSize") or DEFAULT_PAGE_SIZE)
        start = int(request.get("pageToken") or 0)
    except ValueError:
        raise EarthEngineError("Invalid pageSize or pageToken.") from None
    stop = start + size
    return items[start:stop], {"nextPageToken": str(stop)} if stop < len(items) else {}


def _json_answer(content: Mapping[str, Any]) -> Answer:
    return Answer(json.dumps(content).encode())
