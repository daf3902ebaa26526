"""One picture per tile, kept as the server sent it, with where and when it came from.

The service shows OpenStreetMap as of the day of the request, so the raw answer is the only record
from which the labels can be made again. The JSON record is written after the picture: a tile
without a valid pair of the two has not been fetched.
"""

import datetime as dt
import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError
from pipeline.grid import PatchGrid
from pipeline.osm_landuse.contract import Contract
from pipeline.osm_landuse.decode import UNKNOWN, classify_colours
from pipeline.osm_landuse.map_request import MapRequest, aligned_request, released_request
from pipeline.osm_landuse.picture import packed_colours, read_picture
from pipeline.osm_landuse.wms import MapAnswer, WmsClient
from pipeline.settings.osm_landuse import OsmLanduseSettings

_TILE_ID = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,98}[A-Za-z0-9_])?")


@dataclass(frozen=True)
class FetchRecord:
    """Provenance of one raw picture.

    Attributes:
        tile_id: The tile.
        url: Complete address of the request.
        fetched_at: When the answer was complete, UTC, ISO 8601.
        sha256: Of the picture file.
        request: The window it shows.
        asked: Requests made: 2 when the first picture was suspicious.
    """

    tile_id: str
    url: str
    fetched_at: str
    sha256: str
    request: MapRequest
    asked: int


def fetch_tile(
    client: WmsClient, contract: Contract, tile_id: str, grid: PatchGrid, folder: Path
) -> FetchRecord:
    """Fetch the picture of a tile into ``<folder>/<tile_id>.png`` and ``.json``, once.

    A picture of one flat colour, or with too many pixels in no legend colour, may be a server's
    excuse for an error; it is asked for a second time and the second answer counts.

    Raises:
        WmsError: The server is gone, refuses, or answers something else.
        PipelineError: The tile's id cannot be a file name.
    """
    if is_fetched(folder, tile_id, grid, contract, client.settings):
        return read_fetched(folder, tile_id)[0]
    request = tile_request(grid, contract, client.settings)
    answer, asked = _trusted_answer(client, request)
    record = FetchRecord(
        tile_id=tile_id,
        url=answer.url,
        fetched_at=answer.fetched_at.astimezone(dt.UTC).isoformat(timespec="seconds"),
        sha256=hashlib.sha256(answer.body).hexdigest(),
        request=request,
        asked=asked,
    )
    write_atomically(tile_path(folder, tile_id, ".png"), answer.body)
    text = json.dumps(asdict(record), indent=1) + "\n"
    write_atomically(tile_path(folder, tile_id, ".json"), text.encode())
    return record


def is_fetched(
    folder: Path,
    tile_id: str,
    grid: PatchGrid,
    contract: Contract,
    settings: OsmLanduseSettings,
) -> bool:
    """Whether the folder holds the picture of a tile that the settings would ask for.

    Raises:
        PipelineError: The tile's id cannot be a file name.
    """
    try:
        record, _ = read_fetched(folder, tile_id)
    except FileNotFoundError:
        return False
    return record.request == tile_request(grid, contract, settings)


def tile_request(grid: PatchGrid, contract: Contract, settings: OsmLanduseSettings) -> MapRequest:
    """The window that the settings' decoding needs.

    Raises:
        WmsContractError: The server's largest map is too small for the tile.
    """
    if settings.decoding == "released":
        return released_request(grid)
    return aligned_request(
        grid, settings.ground_resolution_m, contract.max_width, contract.max_height
    )


def read_fetched(folder: Path, tile_id: str) -> tuple[FetchRecord, NDArray[np.uint8]]:
    """The record and the decoded picture (rows, columns, 4) of a fetched tile.

    Raises:
        FileNotFoundError: The tile has not been fetched, or its files do not belong together.
        PipelineError: The tile's id cannot be a file name.
    """
    record_path = tile_path(folder, tile_id, ".json")
    values = json.loads(record_path.read_bytes())
    window = values.pop("request")
    request = MapRequest(tuple(window["bounds"]), window["width"], window["height"])
    record = FetchRecord(**values, request=request)
    body = tile_path(folder, tile_id, ".png").read_bytes()
    if hashlib.sha256(body).hexdigest() != record.sha256:
        raise FileNotFoundError(f"{record_path} does not describe the picture beside it")
    return record, read_picture(body)


def _trusted_answer(client: WmsClient, request: MapRequest) -> tuple[MapAnswer, int]:
    answer = client.map_picture(request)
    if _is_suspicious(read_picture(answer.body), client.settings):
        return client.map_picture(request), 2
    return answer, 1


def _is_suspicious(picture: NDArray[np.uint8], settings: OsmLanduseSettings) -> bool:
    colours = packed_colours(picture)
    if (colours == colours[0, 0]).all():
        return True
    unknown = classify_colours(picture, settings.colour_limit) == UNKNOWN
    return bool(unknown.mean() > settings.unknown_share_max)


def tile_path(folder: Path, tile_id: str, suffix: str) -> Path:
    """The file of a tile in a folder.

    Raises:
        PipelineError: The tile's id cannot be a file name.
    """
    if not _TILE_ID.fullmatch(tile_id):
        raise PipelineError(
            f"tile id {tile_id!r} cannot be a file name; use letters, digits, '_', '-' and '.'"
        )
    return folder / f"{tile_id}{suffix}"
