"""How SQLite is opened, migrated and shared: connections, the writers' lock, bulk inserts, the high-water mark."""
