"""Test deliveries in the queue: before everything else of their installation, one at a time."""

from eventstore.common.connection import Connection
from eventstore.common.identifiers import new_id
from eventstore.queue.checksum import payload_checksum
from eventstore.queue.delivery import PROBE_DUE_AT

__all__ = ["drop_probe", "enqueue_probe", "has_waiting_probe"]


def enqueue_probe(connection: Connection, installation_id: str, *, event_name: str, data: str, enqueued_at: str) -> str:
    """Queue a test delivery before everything else of its installation, and return its id."""
    delivery_id = new_id()
    checksum = payload_checksum(
        delivery_id=delivery_id,
        installation_id=installation_id,
        event_name=event_name,
        ordering_key="",
        enqueued_at=enqueued_at,
        actor=None,
        data=data,
        is_probe=True,
    )
    connection.execute(
        "INSERT INTO queue (delivery_id, installation_id, event_name, ordering_key, state, enqueued_at, due_at,"
        " is_probe, data, checksum) VALUES (?, ?, ?, '', 'waiting', ?, ?, 1, ?, ?)",
        (delivery_id, installation_id, event_name, enqueued_at, PROBE_DUE_AT, data, checksum),
    )
    return delivery_id


def has_waiting_probe(connection: Connection, installation_id: str) -> bool:
    """Return whether a test delivery to an installation waits, or is under way."""
    row = connection.execute(
        "SELECT 1 FROM queue WHERE installation_id = ? AND state = 'waiting' AND NOT is_behind AND due_at = ?"
        " AND is_probe",
        (installation_id, PROBE_DUE_AT),
    ).fetchone()
    return row is not None


def drop_probe(connection: Connection, delivery_id: str) -> bool:
    """Take a test delivery out that nobody waits for any more; an outcome that comes later is not recorded."""
    return connection.execute("DELETE FROM queue WHERE delivery_id = ? AND is_probe", (delivery_id,)).rowcount == 1
