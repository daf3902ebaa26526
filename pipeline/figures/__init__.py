"""Figures 1 and 2 of the CromSS paper, from any store."""
