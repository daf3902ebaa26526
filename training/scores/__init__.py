"""Scores, how sure they are, and the tables they end up in."""
