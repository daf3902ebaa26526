"""Access to Earth Engine: session, transport, retry, queries, pixels."""
