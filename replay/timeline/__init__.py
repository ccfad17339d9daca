"""The story of one installation, as entries."""
