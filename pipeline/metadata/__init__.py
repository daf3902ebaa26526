"""What a finished store tells the tools of others: Croissant, STAC, a dataset card."""
