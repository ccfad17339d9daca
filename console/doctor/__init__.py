"""The checks of `hookfuse doctor`, except those that connect to others: they are in the rooms that may."""
