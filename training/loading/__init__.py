"""Samples of a store, on their way into a network: read, batched, scaled, augmented."""
