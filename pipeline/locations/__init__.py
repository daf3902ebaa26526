"""Where the samples lie: samplers, the overlap rule, and the table of locations."""
