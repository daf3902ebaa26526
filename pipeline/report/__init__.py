"""The report: one self-contained HTML page about a build, and its pictures as files."""
