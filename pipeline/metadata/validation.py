"""Checks what was written with the validators that others use, without a network.

STAC: PySTAC with the JSON schemas of STAC 1.1 that it carries and those of the extensions, kept in
``schemas/`` (``sources.csv`` there says from where). Croissant: mlcroissant.
"""

import csv
import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import mlcroissant
from pystac import STACObjectType
from pystac.errors import STACValidationError
from pystac.validation.stac_validator import GetSchemaError, JsonSchemaSTACValidator

from pipeline.errors import PipelineError

_KINDS = {"Feature": STACObjectType.ITEM, "Collection": STACObjectType.COLLECTION}


def check_stac(documents: Iterable[dict[str, Any]]) -> int:
    """Validate STAC items and collections against the core and every extension they name.

    Returns:
        How many were checked.

    Raises:
        PipelineError: One is not valid, or names an extension whose schema is not here.
    """
    count = 0
    for document in documents:
        try:
            _validator().validate(
                document,
                _KINDS[document["type"]],
                document["stac_version"],
                document["stac_extensions"],
            )
        except (STACValidationError, GetSchemaError) as error:
            first = " ".join(str(error).split("\n")[:2])
            raise PipelineError(f"STAC {document.get('id')} is not valid: {first}") from None
        count += 1
    return count


def check_croissant(path: Path) -> list[str]:
    """Validate a Croissant file.

    Returns:
        Warnings, none if all is well.

    Raises:
        PipelineError: It is not valid.
    """
    try:
        dataset = mlcroissant.Dataset(jsonld=path)
    except mlcroissant.ValidationError as error:
        raise PipelineError(
            f"{path} is no valid Croissant: {' '.join(str(error).split())}"
        ) from None
    return sorted(dataset.metadata.ctx.issues.warnings)


def known_extensions() -> dict[str, str]:
    """The extensions whose schemas are here: file by identifier."""
    table = files("pipeline.metadata").joinpath("schemas/sources.csv").read_text(encoding="utf-8")
    return {row["uri"]: row["file"] for row in csv.DictReader(table.splitlines())}


@cache
def _validator() -> JsonSchemaSTACValidator:
    validator = JsonSchemaSTACValidator()
    for uri, name in known_extensions().items():
        text = files("pipeline.metadata").joinpath("schemas", name).read_text(encoding="utf-8")
        validator.schema_cache[uri] = json.loads(text) | {"$id": uri}
    return validator
