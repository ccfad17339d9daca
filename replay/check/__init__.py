"""Whether the log is whole, and live tables are what follows from it."""
