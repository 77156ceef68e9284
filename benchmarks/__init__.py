"""Measured comparisons: what the source projects report, and how fast the series gets there."""
