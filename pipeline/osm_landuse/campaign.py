"""Fetching the pictures of many tiles in one run: contract first, then tile by tile, resumable."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.atomic_file import write_atomically
from pipeline.errors import PipelineError
from pipeline.grid import PatchGrid
from pipeline.osm_landuse.contract import Contract, check_contract
from pipeline.osm_landuse.errors import WmsError
from pipeline.osm_landuse.fetch import fetch_tile, is_fetched
from pipeline.osm_landuse.rate_limit import RateLimit
from pipeline.osm_landuse.service import open_service
from pipeline.osm_landuse.wms import WmsClient
from pipeline.settings.osm_landuse import OsmLanduseSettings

log = logging.getLogger(__name__)

_MOST_FAILURES_IN_A_ROW = 3
_LOG_EVERY = 50
_CONTRACT_FILE = "contract.json"


@dataclass(frozen=True)
class TilePlace:
    """A tile to fetch: its name and its pixels."""

    tile_id: str
    grid: PatchGrid


def fetch_tiles(
    tiles: Sequence[TilePlace], folder: Path, settings: OsmLanduseSettings, seed: int
) -> None:
    """Fetch the pictures of all tiles that ``folder`` does not hold yet.

    A tile that fails does not stop the others, unless the server answers nobody. What is there is
    never asked for again, so that the same call goes on where another one stopped; when nothing is
    missing the server is not contacted at all.

    Args:
        tiles: All tiles of the dataset.
        folder: Raw answers, and the contract of the server that gave them.
        settings: Service, request and patience.
        seed: Of the simulated Earth, if that is the service.

    Raises:
        PipelineError: Tiles are missing afterwards; the same call tries them again.
        PipelineError: The folder holds the pictures of another service.
        WmsContractError: The server is not the one the settings describe.
    """
    source = f"simulated, seed {seed}" if settings.service == "simulated" else settings.service
    pending = _pending(tiles, folder, settings, source)
    if not pending:
        return
    rate_limit = RateLimit(folder / ".rate", settings.requests_per_second)
    with (
        open_service(settings, seed, folder / ".simulated") as url,
        WmsClient(url, settings, rate_limit) as client,
    ):
        contract = check_contract(client)
        write_atomically(folder / _CONTRACT_FILE, _contract_text(source, contract))
        failures = _fetch_pending(client, contract, pending, folder)
    if failures:
        tile_id, reason = failures[0]
        raise PipelineError(
            f"{len(failures)} of {len(pending)} pictures could not be fetched, the first of tile "
            f"{tile_id}: {reason}; run the same command again"
        )


def _fetch_pending(
    client: WmsClient, contract: Contract, pending: Sequence[TilePlace], folder: Path
) -> list[tuple[str, WmsError]]:
    failures: list[tuple[str, WmsError]] = []
    in_a_row = 0
    for number, tile in enumerate(pending, 1):
        try:
            fetch_tile(client, contract, tile.tile_id, tile.grid, folder)
            in_a_row = 0
        except WmsError as error:
            log.warning("tile %s: %s", tile.tile_id, error)
            failures.append((tile.tile_id, error))
            in_a_row += 1
        if in_a_row == _MOST_FAILURES_IN_A_ROW:
            failures += [(other.tile_id, failures[-1][1]) for other in pending[number:]]
            break
        if number % _LOG_EVERY == 0 or number == len(pending):
            log.info("%d of %d pictures", number, len(pending))
    return failures


def _pending(
    tiles: Sequence[TilePlace], folder: Path, settings: OsmLanduseSettings, source: str
) -> list[TilePlace]:
    try:
        values = json.loads((folder / _CONTRACT_FILE).read_bytes())
    except FileNotFoundError:
        return list(tiles)
    if values["source"] != source:
        raise PipelineError(
            f"{folder} holds pictures of {values['source']}, not of {source}; move them away or "
            "build under another name"
        )
    contract = Contract(**values["contract"])
    return [
        tile
        for tile in tiles
        if not is_fetched(folder, tile.tile_id, tile.grid, contract, settings)
    ]


def _contract_text(source: str, contract: Contract) -> bytes:
    return (json.dumps({"source": source, "contract": asdict(contract)}, indent=1) + "\n").encode()
