"""Dynamic World expert tiles: read as published, paired with Sentinel-2 and Sentinel-1, stored."""
