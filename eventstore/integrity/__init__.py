"""Whether the database is what was written to it, and the ways on where it is not."""
