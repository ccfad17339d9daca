"""The trail of one delivery through queue and log."""
