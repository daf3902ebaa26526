"""Once per run: is the server the one that the settings and the class table describe?"""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.legend import load_legend
from pipeline.osm_landuse.capabilities import Capabilities
from pipeline.osm_landuse.errors import WmsContractError, WmsError
from pipeline.osm_landuse.legend import verify_legend
from pipeline.osm_landuse.map_request import WEB_MERCATOR
from pipeline.osm_landuse.wms import WmsClient

_SHOWN_NAMES = 10


@dataclass(frozen=True)
class Contract:
    """What a server was found to offer.

    Attributes:
        url: Address of the service.
        layer: The layer that was checked.
        wms_version: Version of its capabilities.
        max_width: Most columns of a map, None when unlimited.
        max_height: Most rows of a map, None when unlimited.
        legend_order: Class ids in the order of the legend's rows; empty without a legend.
    """

    url: str
    layer: str
    wms_version: str
    max_width: int | None
    max_height: int | None
    legend_order: tuple[int, ...]


def check_contract(client: WmsClient) -> Contract:
    """Check layer, coordinate system, format and legend colours before the first tile.

    Raises:
        WmsContractError: Something that every request depends on is not offered.
        LegendMismatchError: The legend's colours are not those of ``classes.csv``.
        WmsError: The server is gone or answers something else.
    """
    capabilities = client.capabilities()
    _check_offer(client, capabilities)
    return Contract(
        url=client.url,
        layer=client.settings.layer,
        wms_version=capabilities.version,
        max_width=capabilities.max_width,
        max_height=capabilities.max_height,
        legend_order=_legend_order(client),
    )


def _check_offer(client: WmsClient, capabilities: Capabilities) -> None:
    settings = client.settings
    layer = capabilities.layers.get(settings.layer)
    if layer is None:
        raise WmsContractError(
            f"the WMS has no layer {settings.layer!r} (osm_landuse.layer); it offers "
            f"{_shown(capabilities.layers)}"
        )
    if WEB_MERCATOR not in layer.crs:
        raise WmsContractError(
            f"the WMS does not offer {settings.layer} in {WEB_MERCATOR}, only in "
            f"{_shown(layer.crs)}"
        )
    if settings.image_format not in capabilities.map_formats:
        raise WmsContractError(
            f"the WMS does not answer {settings.image_format}, only "
            f"{_shown(capabilities.map_formats)}"
        )


def _legend_order(client: WmsClient) -> tuple[int, ...]:
    try:
        body = client.legend_picture()
    except WmsError as error:
        if client.settings.require_legend:
            raise WmsContractError(
                f"no legend picture for {client.settings.layer}: {error}; set "
                "osm_landuse.require_legend: false to go on without verified colours"
            ) from error
        return ()
    return tuple(verify_legend(body, load_legend("osm_landuse")))


def _shown(names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - _SHOWN_NAMES} more" if len(listed) > _SHOWN_NAMES else ""
    return ", ".join(listed[:_SHOWN_NAMES]) + more
