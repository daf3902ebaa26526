"""The discovery document: the methods of the REST API that the simulated Earth Engine has.

The client builds its calls from this document, so a method that is missing here fails in the client
at once, by name. The copy in the client's wheel is of 2020 and lacks the filter of ``listAssets``.
"""

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

_PROJECT = r"^projects/[^/]+$"
_ASSET = r"^projects/[^/]+/assets/.*$"
_ROOT = "https://earthengine.googleapis.com/"  # the client replaces it by the url it was given


@dataclass(frozen=True)
class _Method:
    """A method of a resource of ``projects``.

    Attributes:
        resource: Its resource.
        name: Its name.
        path: Template of its path, with one parameter in braces.
        parameter: That parameter.
        pattern: What the parameter looks like.
        has_body: A POST with a JSON body, otherwise a GET.
        query: Types of the query parameters.
    """

    resource: str
    name: str
    path: str
    parameter: str
    pattern: str
    has_body: bool
    query: dict[str, str] = field(default_factory=dict)

    def description(self) -> dict[str, Any]:
        """The method as the discovery format writes it."""
        path_parameter = {
            "location": "path",
            "required": True,
            "type": "string",
            "pattern": self.pattern,
        }
        described: dict[str, Any] = {
            "id": f"earthengine.projects.{self.resource}.{self.name}",
            "httpMethod": "POST" if self.has_body else "GET",
            "path": self.path,
            "flatPath": self.path,
            "parameters": {self.parameter: path_parameter, **_query_parameters(self.query)},
            "parameterOrder": [self.parameter],
            "response": {"$ref": "Answer"},
        }
        return described | ({"request": {"$ref": "Answer"}} if self.has_body else {})


def _query_parameters(types: dict[str, str]) -> dict[str, Any]:
    return {name: {"location": "query", "type": type_} for name, type_ in types.items()}


_LISTING = {
    "pageSize": "integer",
    "pageToken": "string",
    "filter": "string",
    "view": "string",
}
_COMPUTE = "v1/{+project}/"
_METHODS = (
    _Method("algorithms", "list", "v1/{+parent}/algorithms", "parent", _PROJECT, False),
    _Method("value", "compute", f"{_COMPUTE}value:compute", "project", _PROJECT, True),
    _Method("image", "computePixels", f"{_COMPUTE}image:computePixels", "project", _PROJECT, True),
    _Method(
        "table", "computeFeatures", f"{_COMPUTE}table:computeFeatures", "project", _PROJECT, True
    ),
    _Method("assets", "get", "v1/{+name}", "name", _ASSET, False),
    _Method("assets", "getPixels", "v1/{+name}:getPixels", "name", _ASSET, True),
    _Method("assets", "listAssets", "v1/{+parent}:listAssets", "parent", _ASSET, False, _LISTING),
)

_COMMON_QUERY = {
    "alt": "string",
    "fields": "string",
    "prettyPrint": "boolean",
    "key": "string",
    "access_token": "string",
    "quotaUser": "string",
}


@lru_cache(maxsize=1)
def discovery_json() -> bytes:
    """The discovery document, JSON.

    Source of the format: https://developers.google.com/discovery/v1/reference/apis
    """
    resources: dict[str, Any] = {}
    for method in _METHODS:
        methods = resources.setdefault(method.resource, {"methods": {}})["methods"]
        methods[method.name] = method.description()
    document = {
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": "earthengine:v1",
        "name": "earthengine",
        "version": "v1",
        "title": "Simulated Earth Engine",
        "protocol": "rest",
        "rootUrl": _ROOT,
        "baseUrl": _ROOT,
        "servicePath": "",
        "basePath": "",
        "batchPath": "batch",
        "fullyEncodeReservedExpansion": True,
        "parameters": _query_parameters(_COMMON_QUERY),
        "schemas": {"Answer": _answer_schema()},
        "resources": {"projects": {"resources": resources}},
    }
    return json.dumps(document).encode()


def _answer_schema() -> dict[str, Any]:
    """One schema for all answers; the client pages only where it sees ``nextPageToken``."""
    return {
        "id": "Answer",
        "type": "object",
        "properties": {"nextPageToken": {"type": "string"}},
    }
