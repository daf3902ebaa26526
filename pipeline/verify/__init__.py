"""Re-checks a store of any kind and lists what is wrong: ``python -m pipeline.verify <store>``."""
