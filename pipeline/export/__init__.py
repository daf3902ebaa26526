"""Finished stores in the forms that other tools read: GeoTIFF, WebDataset, a Hub folder."""
