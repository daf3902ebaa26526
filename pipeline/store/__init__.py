"""The Zarr stores: layout, shard writing, reading."""
