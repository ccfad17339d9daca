"""Projections made anew from the log, beside the live ones."""
