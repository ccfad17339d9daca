"""Random histories through the code of two checkouts, side by side."""
