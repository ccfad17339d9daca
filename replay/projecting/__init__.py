"""Projections rebuilt from the log, beside the live ones."""
