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
from pipeline.osm_landuse.wms import WmsClient
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
        asked: Answers looked at: 2 when the first picture was suspicious.
    """

    tile_id: str
    url: str
    fetched_at: str
    sha256: str
    request: MapRequest
    asked: int


def fetch_tile(
    client: WmsClient,
    contract: Contract,
    tile_id: str,
    grid: PatchGrid,
    folder: Path,
    second_look: bool = False,
) -> FetchRecord | None:
    """Fetch the picture of a tile into ``<folder>/<tile_id>.png`` and ``.json``, once.

    A picture of one flat colour, or with too many pixels in no legend colour, may be the excuse of
    a server that is overloaded. The first one is not kept; ask again when some time has passed.

    Args:
        client: Of the service.
        contract: What it offers.
        tile_id: Name of the tile.
        grid: Its pixels.
        folder: For the files.
        second_look: Keep the picture whatever it shows.

    Returns:
        The record; None if the picture is suspicious and was not kept.

    Raises:
        WmsError: The server is gone, refuses, or answers something else.
        PipelineError: The tile's id cannot be a file name.
    """
    if is_fetched(folder, tile_id, grid, contract, client.settings):
        return read_record(folder, tile_id)
    request = tile_request(grid, contract, client.settings)
    answer = client.map_picture(request)
    if not second_look and _is_suspicious(read_picture(answer.body), client.settings):
        return None
    record = FetchRecord(
        tile_id=tile_id,
        url=answer.url,
        fetched_at=answer.fetched_at.astimezone(dt.UTC).isoformat(timespec="seconds"),
        sha256=hashlib.sha256(answer.body).hexdigest(),
        request=request,
        asked=2 if second_look else 1,
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
        record = read_record(folder, tile_id)
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


def read_record(folder: Path, tile_id: str) -> FetchRecord:
    """The record of a fetched tile; its picture is compared with it, not decoded.

    Raises:
        FileNotFoundError: The tile has not been fetched, or its files are damaged.
        PipelineError: The tile's id cannot be a file name.
    """
    return _read_files(folder, tile_id)[0]


def read_fetched(folder: Path, tile_id: str) -> tuple[FetchRecord, NDArray[np.uint8]]:
    """The record and the decoded picture (rows, columns, 4) of a fetched tile.

    Raises:
        FileNotFoundError: The tile has not been fetched, or its files are damaged.
        PipelineError: The tile's id cannot be a file name.
    """
    record, body = _read_files(folder, tile_id)
    return record, read_picture(body)


def _read_files(folder: Path, tile_id: str) -> tuple[FetchRecord, bytes]:
    record_path = tile_path(folder, tile_id, ".json")
    try:
        values = json.loads(record_path.read_bytes())
        window = values.pop("request")
        request = MapRequest(tuple(window["bounds"]), window["width"], window["height"])
        record = FetchRecord(**values, request=request)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise FileNotFoundError(f"{record_path} is damaged") from None
    body = tile_path(folder, tile_id, ".png").read_bytes()
    if hashlib.sha256(body).hexdigest() != record.sha256:
        raise FileNotFoundError(f"{record_path} does not describe the picture beside it")
    return record, body


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
