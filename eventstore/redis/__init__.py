"""Redis beside SQLite: the stream that deliveries are taken from, and the original's own layout (`original_*`)."""
