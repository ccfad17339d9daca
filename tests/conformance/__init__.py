"""One suite for each port, run on every implementation there is."""
