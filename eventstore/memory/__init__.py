"""The ports in memory: for tests of what stands above them, and to hold SQLite's implementations against."""
