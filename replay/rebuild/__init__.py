"""Live tables brought into step with the log."""
