"""From overlapping windows to maps, and figures of them."""
