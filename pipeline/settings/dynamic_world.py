"""The section ``dynamic_world`` of the settings."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.settings.section import Section

_CHECKSUM = r"^(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})$"

LARGEST_TILE_PIXELS = 879
"""The largest tile of which one answer of Earth Engine, 48 MiB at most, holds 13 bands of four
bytes and a byte of mask. Sources: those of `pipeline.settings.dataset.LARGEST_PATCH_PIXELS`."""

_EFFORT = {"selection_batch"}
"""Settings that change no byte of the store."""


class DynamicWorldSettings(Section):
    """Expert labels of Dynamic World: where they come from, how scenes are found for them."""

    tiles: Literal["simulated", "published"] = Field(
        "simulated",
        description=(
            "simulated: expert tiles of the simulated Earth, drawn by the run; published: the "
            "tiles in `train` and `test`"
        ),
    )
    train: str | None = Field(
        None,
        description=(
            "published: folder of the training tiles (dw_<lon>_<lat>-<YYYYMMDD>.tif, in any "
            "subfolder), a zip or tar archive of it, or its URL; s3://bucket/... for either"
        ),
    )
    train_checksum: str | None = Field(
        None, pattern=_CHECKSUM, description="Of the archive: sha256:<hex> or md5:<hex>"
    )
    test: str | None = Field(
        None, description="published: folder of the test tiles, an archive of it, or its URL"
    )
    test_checksum: str | None = Field(
        None, pattern=_CHECKSUM, description="Of the archive: sha256:<hex> or md5:<hex>"
    )
    test_metadata: Path | None = Field(
        None,
        description=(
            "CSV with filename and s2_system_index of the test tiles; null: the only CSV in the "
            "folder of the tiles"
        ),
    )
    train_pixels: int = Field(
        510,
        ge=32,
        le=LARGEST_TILE_PIXELS,
        description="Rows and columns of a training tile as published",
    )
    test_pixels: int = Field(
        512,
        ge=32,
        le=LARGEST_TILE_PIXELS,
        description="Rows and columns of a test tile as published",
    )
    simulated_train: int = Field(
        24, ge=1, le=10_000, description="tiles simulated: how many training tiles"
    )
    simulated_test: int = Field(
        12, ge=1, le=10_000, description="tiles simulated: how many test tiles"
    )
    simulated_area: tuple[float, float, float, float] = Field(
        (11.2, 47.2, 12.8, 48.6),
        description="tiles simulated: west, south, east, north in degrees within which they lie",
    )
    rule: Literal["released", "covering"] = Field(
        "covering",
        description=(
            "released: as the released dataset was paired, the first scene in the tile's CRS, "
            "which must then cover it; covering: the first scene in the tile's CRS that covers it "
            "(keeps more tiles)"
        ),
    )
    cloud_cover_max: float = Field(
        20.0, gt=0, le=100, description="Scenes with this cloud cover or more are left out, percent"
    )
    window_days: int = Field(
        15,
        ge=1,
        le=45,
        description="Scenes are searched so many days after the label's date, else before it",
    )
    selection_batch: int = Field(25, ge=1, le=250, description="Tiles in one selection request")
    shard_size: int = Field(
        32,
        ge=1,
        le=1024,
        description="Tiles per shard: the unit of a job, of a write and of resuming",
    )

    @model_validator(mode="after")
    def _published_tiles_are_named(self) -> Self:
        missing = [name for name in ("train", "test") if getattr(self, name) is None]
        if self.tiles == "published" and missing:
            raise ValueError(
                f"tiles = published needs {' and '.join(missing)}: a folder or a URL of the tiles"
            )
        for name in ("train", "test"):
            source, checksum = getattr(self, name), getattr(self, f"{name}_checksum")
            if is_url(source) and checksum is None:
                raise ValueError(f"{name} is a URL; give {name}_checksum, too")
        return self

    @model_validator(mode="after")
    def _area_has_an_extent(self) -> Self:
        west, south, east, north = self.simulated_area
        if not (-180 <= west < east <= 180 and -80 <= south < north <= 84):
            raise ValueError(
                "simulated_area must be west, south, east, north with west < east within -180 to "
                f"180 and south < north within -80 to 84, got {self.simulated_area}"
            )
        return self

    def defining(self) -> dict[str, Any]:
        """The settings that decide the bytes of ``dw.zarr``, as plain JSON values.

        Where published tiles lie does not matter: their own hashes are in the table of tiles.
        """
        other = "published" if self.tiles == "simulated" else "simulated"
        where = {"train", "test", "train_checksum", "test_checksum", "test_metadata"}
        unused = where if other == "published" else where | _simulated_fields()
        return self.model_dump(mode="json", exclude=_EFFORT | unused)


def is_url(source: str | None) -> bool:
    """Whether tiles are named by a URL rather than by a folder."""
    return source is not None and source.startswith(("http://", "https://"))


def _simulated_fields() -> set[str]:
    return {name for name in DynamicWorldSettings.model_fields if name.startswith("simulated_")}
