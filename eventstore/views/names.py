"""Whether anything here goes by a name that a person gives."""

from eventstore.common.connection import Connection

__all__ = ["is_event_known", "is_stream_known"]


def is_event_known(connection: Connection, name: str) -> bool:
    """Return whether a request, a delivery of the queue or an app has this event name."""
    (is_there,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM request_log WHERE event_name = :name)"
        " OR EXISTS (SELECT 1 FROM queue WHERE event_name = :name)"
        " OR EXISTS (SELECT 1 FROM apps, json_each(apps.events) WHERE value = :name)",
        {"name": name},
    ).fetchone()
    return bool(is_there)


def is_stream_known(connection: Connection, stream: str) -> bool:
    """Return whether anything was ever recorded in a stream."""
    return connection.execute("SELECT 1 FROM events WHERE stream = ? LIMIT 1", (stream,)).fetchone() is not None
