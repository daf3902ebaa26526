"""The section ``importers`` of the settings."""

from typing import Literal

from pydantic import Field

from pipeline.settings.section import InputPlace, Section


class ImporterSettings(Section):
    """Releases of others to be imported: folders, archives, or URLs in object storage of either."""

    ssl4eo: tuple[InputPlace, ...] = Field(
        (),
        description=(
            "SSL4EO-S12 v1.0 (folders, tar.gz, also in parts) or v1.1 (ssl4eos12_shard_*.tar or "
            "*.zarr.zip); Sentinel-2 first"
        ),
    )
    ssl4eo_labels: Literal["none", "noldo", "earthengine"] = Field(
        "none",
        description=(
            "Labels of the imported scenes: noldo: the released masks (noldo_nol); earthengine: "
            "asked for by scene id, as the paper did; none"
        ),
    )
    noldo_nol: tuple[InputPlace, ...] = Field(
        (), description="NoLDO-S12, noisy label masks (ssl4eo_s12_nol.zip)"
    )
    noldo_dw: tuple[InputPlace, ...] = Field(
        (), description="NoLDO-S12, tiles with Dynamic World expert labels (ssl4eo_s12_dw.zip)"
    )
    noldo_osm: tuple[InputPlace, ...] = Field(
        (), description="NoLDO-S12, tiles with OSM labels (ssl4eo_s12_osm.zip)"
    )
    dfc2020: tuple[InputPlace, ...] = Field((), description="DFC2020 (s1, s2 and dfc patches)")
    eurosat: tuple[InputPlace, ...] = Field((), description="EuroSAT with 13 bands")
    s2_values: Literal["harmonised", "published"] = Field(
        "harmonised",
        description=(
            "harmonised: the offset of 1000 of later processing baselines is removed where pixels "
            "and names tell that it is there; published: values stay as they are"
        ),
    )
    osm_numbering: Literal["released", "paper"] = Field(
        "released",
        description=(
            "Numbers of the OSM classes in the imported files: those of the release, or of the "
            "paper's Table I; checked against Dynamic World"
        ),
    )
