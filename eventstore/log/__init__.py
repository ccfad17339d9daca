"""The append-only log: appending and reading events, their chain of hashes, snapshots of an installation's outcomes."""
