"""Fetching the pictures of many tiles in one run: contract first, then tile by tile, resumable."""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
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
    tiles: Sequence[TilePlace],
    folder: Path,
    settings: OsmLanduseSettings,
    seed: int,
    rate_file: Path | None = None,
) -> None:
    """Fetch the pictures of all tiles that ``folder`` does not hold yet.

    A tile that fails does not stop the others, unless the server answers nobody or asks for a pause
    beyond our patience. Suspicious pictures, flat ones above all, are asked for again when all
    others are there: a server that paints nothing while it is overloaded has time to recover. What
    is there is never asked for again, so that the same call goes on where another one stopped; when
    nothing is missing the server is not contacted at all.

    Args:
        tiles: All tiles of the dataset.
        folder: Raw answers, and the contract of the server that gave them.
        settings: Service, request and patience.
        seed: Of the simulated Earth, if that is the service.
        rate_file: Shared by all who ask the same server; by default one of the folder's own.

    Raises:
        PipelineError: Tiles are missing afterwards; the same call tries them again.
        PipelineError: The folder holds the pictures of another service or layer.
        WmsContractError: The server is not the one the settings describe.
    """
    source = f"simulated, seed {seed}" if settings.service == "simulated" else settings.service
    pending = _pending(tiles, folder, settings, source)
    if not pending:
        return
    rate_limit = RateLimit(rate_file or folder / ".rate", settings.requests_per_second)
    with (
        open_service(settings, seed, folder / ".simulated") as url,
        WmsClient(url, settings, rate_limit) as client,
    ):
        contract = check_contract(client)
        write_atomically(folder / _CONTRACT_FILE, _contract_text(source, contract))
        campaign = _Campaign(client, contract, folder)
        suspicious = campaign.fetch(pending)
        if suspicious:
            log.info("asking again for %d suspicious pictures", len(suspicious))
            campaign.fetch(suspicious, second_look=True)
        log.info("%d requests to %s", client.requests_sent, source)
    if campaign.failures:
        tile_id, reason = campaign.failures[0]
        raise PipelineError(
            f"{len(campaign.failures)} of {len(pending)} pictures could not be fetched, the first "
            f"of tile {tile_id}: {reason}; run the same command again"
        )


@dataclass
class _Campaign:
    """One run over tiles.

    Attributes:
        client: Of the service.
        contract: What it offers.
        folder: For the pictures.
        failures: Tiles without a picture, and why.
    """

    client: WmsClient
    contract: Contract
    folder: Path
    failures: list[tuple[str, WmsError]] = field(default_factory=list)

    def fetch(self, tiles: Sequence[TilePlace], second_look: bool = False) -> list[TilePlace]:
        """Fetch tiles; those whose pictures are suspicious, which were not kept."""
        suspicious: list[TilePlace] = []
        in_a_row = 0
        started = time.monotonic()
        for number, tile in enumerate(tiles, 1):
            try:
                found = fetch_tile(
                    self.client, self.contract, tile.tile_id, tile.grid, self.folder, second_look
                )
                suspicious += [tile] if found is None else []
                in_a_row = 0
            except WmsError as error:
                log.warning("tile %s: %s", tile.tile_id, error)
                self.failures.append((tile.tile_id, error))
                in_a_row += 1
                if in_a_row == _MOST_FAILURES_IN_A_ROW or self._asks_for_a_long_pause(error):
                    rest = [*tiles[number:], *suspicious]
                    self.failures += [(other.tile_id, error) for other in rest]
                    return []
            if number % _LOG_EVERY == 0 or number == len(tiles):
                seconds = (time.monotonic() - started) / number * (len(tiles) - number)
                log.info("%d of %d pictures, %.0f s left", number, len(tiles), seconds)
        return suspicious

    def _asks_for_a_long_pause(self, error: WmsError) -> bool:
        return (error.retry_after_s or 0.0) > self.client.settings.patience_s


def _pending(
    tiles: Sequence[TilePlace], folder: Path, settings: OsmLanduseSettings, source: str
) -> list[TilePlace]:
    path = folder / _CONTRACT_FILE
    try:
        values = json.loads(path.read_bytes())
        earlier, contract = values["source"], Contract(**values["contract"])
    except FileNotFoundError:
        return list(tiles)
    except (ValueError, KeyError, TypeError):
        raise PipelineError(
            f"{path} is damaged; delete it if the pictures beside it are of {source}, else move "
            f"{folder} away"
        ) from None
    if (earlier, contract.layer) != (source, settings.layer):
        raise PipelineError(
            f"{folder} holds pictures of {earlier} ({contract.layer}), not of {source} "
            f"({settings.layer}); move them away or build under another name"
        )
    return [
        tile
        for tile in tiles
        if not is_fetched(folder, tile.tile_id, tile.grid, contract, settings)
    ]


def _contract_text(source: str, contract: Contract) -> bytes:
    return (json.dumps({"source": source, "contract": asdict(contract)}, indent=1) + "\n").encode()
