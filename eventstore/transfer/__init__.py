"""History and counts on their way out and in: exports, imports, and what is checked on the way."""
