"""A number that moves whenever a running daemon has to look at everything again: what has no new sequence number."""

from eventstore.common.connection import Connection

__all__ = ["change_version", "notify_change"]


def notify_change(connection: Connection) -> None:
    """Tell a running daemon to look at the registry and at the whole queue again, once this is committed."""
    connection.execute("UPDATE attention SET version = version + 1")


def change_version(connection: Connection) -> int:
    """Return the number as it is now."""
    (version,) = connection.execute("SELECT version FROM attention").fetchone()
    return int(version)
